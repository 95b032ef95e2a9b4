//! `tollgate service-tokens …`

use serde::Serialize;
use tollgate_core::{authz::Action, id::ServiceTokenId};
use tollgate_store::{NewServiceToken, ServiceTokenView};

use crate::{
    cli::{ServiceTokensCommand, time::rfc3339},
    context::{Context, random_secret},
    failure::Failure,
    print,
};

/// The answer of create: the only place where the token is.
#[derive(Serialize)]
struct Created<'a> {
    id: ServiceTokenId,
    token: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Token {
    id: ServiceTokenId,
    name: String,
    tenant: String,
    services: Vec<String>,
    last4: String,
    created_at: String,
    revoked_at: Option<String>,
}

#[derive(Serialize)]
struct Tokens {
    service_tokens: Vec<Token>,
}

#[derive(Serialize)]
struct Revoked {
    id: ServiceTokenId,
    revoked: bool,
}

pub(crate) async fn run(context: &Context, command: ServiceTokensCommand) -> Result<(), Failure> {
    match command {
        ServiceTokensCommand::Create(args) => {
            let permit = context.permit(Action::ChangeServiceTokens)?;
            let store = context.store().await?;
            let name = args.name.clone();
            let new = NewServiceToken { name: args.name, tenant: args.tenant, services: args.services };
            let random = random_secret()?;
            let made = store.create_service_token(&permit, new, &random, context.now_us()).await?.value;
            let shown = Created { id: made.id, token: made.token.expose(), name: &name };
            context.printer.result(&shown, || {
                let fields =
                    print::fields(&[("id", shown.id.to_string()), ("token", shown.token.to_owned())]);
                format!("{fields}\nKeep the token now: it is not stored and cannot be shown again.")
            })
        }
        ServiceTokensCommand::List => {
            let tokens = context.store().await?.list_service_tokens().await?;
            let shown = Tokens { service_tokens: tokens.into_iter().map(Token::of).collect() };
            context.printer.result(&shown, || {
                let header = ["id", "name", "tenant", "services", "token", "created", "revoked"];
                print::table(header, shown.service_tokens.iter().map(Token::row))
            })
        }
        ServiceTokensCommand::Revoke { id } => {
            let permit = context.permit(Action::ChangeServiceTokens)?;
            let store = context.store().await?;
            store.revoke_service_token(&permit, id, context.now_us()).await?;
            context.printer.result(&Revoked { id, revoked: true }, || format!("{id} is revoked."))
        }
    }
}

impl Token {
    fn of(view: ServiceTokenView) -> Self {
        Self {
            id: view.id,
            name: view.name,
            tenant: view.tenant.name,
            services: view.services.into_iter().map(|service| service.name).collect(),
            last4: view.last4,
            created_at: rfc3339(view.created_us),
            revoked_at: view.revoked_us.map(rfc3339),
        }
    }

    fn row(&self) -> [String; 7] {
        let services = if self.services.is_empty() { "all".to_owned() } else { self.services.join(", ") };
        [
            self.id.to_string(),
            self.name.clone(),
            self.tenant.clone(),
            services,
            format!("tgs_…{}", self.last4),
            self.created_at.clone(),
            self.revoked_at.clone().unwrap_or_default(),
        ]
    }
}
