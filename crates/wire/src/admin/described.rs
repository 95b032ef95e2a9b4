//! Names of schemas that stand in `resources.json`, for types that refer to them.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, schema::Schema},
};

macro_rules! described {
    ($($(#[$doc:meta])* $marker:ident = $name:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $marker;

        impl PartialSchema for $marker {
            fn schema() -> RefOr<Schema> {
                // Only its name is used; what it says stands in the file.
                RefOr::T(Schema::Object(ObjectBuilder::new().build()))
            }
        }

        impl ToSchema for $marker {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )+};
}

described! {
    /// Stands for a service's specification where a schema refers to it.
    ServiceSpecSchema = "ServiceSpec";
    /// Stands for a policy's specification.
    PolicySpecSchema = "PolicySpec";
    /// Stands for a budget's specification.
    BudgetSpecSchema = "BudgetSpec";
    /// Stands for a price's specification.
    PriceSpecSchema = "PriceSpec";
    /// Stands for a meter's specification.
    MeterSpecSchema = "MeterSpec";
    /// Stands for a rule's specification.
    RuleSpecSchema = "RuleSpec";
    /// Stands for a model's specification.
    ModelSpecSchema = "ModelSpec";
    /// Stands for a webhook's specification.
    WebhookSpecSchema = "WebhookSpec";
    /// Stands for a consumer's specification.
    ConsumerSpecSchema = "ConsumerSpec";
}
