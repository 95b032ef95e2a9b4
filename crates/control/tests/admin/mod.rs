//! The admin API over real HTTP with a real store.

mod audit;
mod budgets;
mod contract;
mod dashboards;
mod documents;
mod events;
mod isolation;
mod jobs;
mod keys;
mod members;
mod meters;
mod models;
mod openapi;
mod repetition;
mod resources;
mod sweep;
mod tokens;
mod webhooks;
pub(crate) mod world;

/// Makes of every function two tests: on SQLite, and where it is told so on PostgreSQL too.
macro_rules! promises {
    (sqlite: $($module:ident: $($name:ident),+ $(,)?;)+) => {
        mod sqlite {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::admin::$module::$name(crate::admin::world::World::new().await).await;
            })+)+
        }
    };
    (postgres: $($module:ident: $($name:ident),+ $(,)?;)+) => {
        mod postgres {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::admin::$module::$name(crate::admin::world::World::postgres().await).await;
            })+)+
        }
    };
}

promises! { sqlite:
    sweep: keys_never_manage_keys, who_is_not_signed_in_gets_nowhere, every_role_may_what_the_matrix_says,
        what_needs_a_fresh_sign_in_says_so, other_tenants_look_absent;
    isolation: short_names_are_those_of_the_own_tenant, a_document_reaches_no_other_tenant,
        tokens_and_exports_stay_inside;
    resources: a_consumer_is_created_shown_replaced_and_deleted, no_tenant_of_several_sends_requests_inside,
        every_kind_is_created_replaced_and_deleted,
        what_live_keys_need_is_not_deleted, bad_resources_name_their_fields, lists_page_and_filter;
    documents: an_export_applied_again_changes_nothing, a_document_with_errors_changes_nothing;
    keys: the_whole_key_is_in_one_answer_only, a_key_lives_and_dies, keys_are_filtered_and_paged,
        many_keys_are_created_or_none, a_developer_tends_own_keys_only;
    jobs: many_keys_are_tagged_and_revoked, a_job_must_say_which_keys,
        a_job_of_a_dead_process_goes_on_and_does_each_key_once,
        a_running_job_ends_when_its_person_loses_the_right, a_job_that_was_left_for_an_hour_does_not_go_on,
        a_job_goes_on_only_with_the_rights_its_person_has_then, a_cancelled_job_changes_nothing_more,
        what_a_job_would_break_is_told_before;
    repetition: a_repetition_is_answered_and_not_done, one_person_uses_up_only_their_own, what_was_refused_may_be_corrected,
        a_claim_without_an_answer_is_refused, twenty_at_once_are_done_once;
    members: a_link_for_a_new_password_is_in_one_answer_only, a_member_is_shown_after_a_consumer_of_theirs_is_deleted, roles_are_given_and_taken,
        only_owners_make_and_unmake_owners, invitations_are_sent_and_taken_back;
    tokens: a_token_is_shown_once_and_revoked;
    meters: a_meter_is_made_asked_replaced_and_deleted;
    models: versions_are_registered_and_an_alias_moves_at_once, files_of_the_host_are_named_by_its_operator_only,
        a_trial_keeps_its_place_when_who_asked_for_it_leaves;
    dashboards: a_dashboard_is_ones_own_until_it_is_shared, what_a_widget_cannot_show_names_its_field;
    webhooks: a_webhook_has_its_secret_in_one_answer, what_is_wrong_with_a_webhook_names_its_field;
    budgets: a_budget_lives_and_is_topped_up, a_developer_sees_budgets_of_own_consumers_only,
        a_price_gets_versions_and_ends, a_secret_is_taken_and_never_given_back;
    audit: the_audit_shows_before_and_after, an_export_has_every_change, a_broken_chain_is_told;
    events: events_are_filtered_paged_and_explained, usage_is_summed_as_json_and_csv,
        usage_by_model_says_nothing_of_what_has_no_sums,
        a_developer_sees_what_own_consumers_did, a_developer_sees_no_counts_of_others,
        names_of_others_cannot_be_tried;
    openapi: anyone_may_read_the_document, a_wrong_method_is_told_the_right_ones;
}

promises! { postgres:
    budgets: a_budget_lives_and_is_topped_up, a_price_gets_versions_and_ends;
    sweep: other_tenants_look_absent;
    resources: every_kind_is_created_replaced_and_deleted, lists_page_and_filter;
    keys: a_key_lives_and_dies, keys_are_filtered_and_paged, a_developer_tends_own_keys_only;
    jobs: many_keys_are_tagged_and_revoked, a_job_of_a_dead_process_goes_on_and_does_each_key_once;
    repetition: a_repetition_is_answered_and_not_done, twenty_at_once_are_done_once;
    events: events_are_filtered_paged_and_explained;
    audit: the_audit_shows_before_and_after;
    models: versions_are_registered_and_an_alias_moves_at_once;
    dashboards: what_a_widget_cannot_show_names_its_field;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs schemathesis; `cargo xtask test` brings it"]
async fn schemathesis_finds_nothing() {
    contract::schemathesis_finds_nothing(world::World::new().await).await;
}
