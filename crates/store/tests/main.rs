//! One conformance suite, run on SQLite and on PostgreSQL: every promise holds on both.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step of a test that fails must end the test at that line"
)]

mod audit;
mod budget_accounts;
mod budgets;
mod credentials;
mod feed;
mod import;
mod ingest;
mod keys;
mod lease_rounds;
mod leases;
mod ledger;
mod lost_leases;
mod meters;
mod meters_past;
mod nodes;
mod notices;
mod opening;
mod people;
mod quota_holds;
mod quota_leases;
mod reach;
mod reminders;
mod resources;
mod rules;
mod seals;
mod secrets;
mod standing;
mod tenants;
mod tls;
mod tokens;
mod usage;
mod usage_blocks;
mod usage_models;
mod usage_spans;
mod webhooks;
mod world;

/// Makes of every function two tests, one an engine.
macro_rules! conformance {
    ($($module:ident: $($name:ident),+ $(,)?;)+) => {
        mod sqlite {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::$module::$name(crate::world::World::sqlite().await).await;
            })+)+
        }
        mod postgres {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::$module::$name(crate::world::World::postgres().await).await;
            })+)+
        }
    };
}

conformance! {
    reach:
        a_tenant_alone_may_reach_its_own_network, what_the_only_tenant_wrote_the_operator_may_make_its_own, one_tenant_of_several_reaches_the_internet_alone,
        the_operator_allows_networks, remote_models_are_held_as_services_are;
    meters:
        meters_are_what_a_naive_recomputation_says, groups_beyond_the_bound_are_one_and_seen,
        a_meter_that_comes_or_changes_counts_what_is_there_and_what_comes, requests_count_once_however_often_they_are_shipped,
        a_report_counts_once_by_its_ids;
    meters_past:
        the_past_of_a_meter_counts_once_whatever_comes_between,
        progress_of_the_past_is_seen_and_what_is_forgotten_is_passed_over,
        damage_of_the_past_is_passed_over_and_named,
        a_lost_journal_holds_the_past_up_for_an_hour_only;
    budgets:
        a_changed_price_is_a_new_version_and_the_old_one_stays,
        a_version_to_come_can_be_changed_until_it_begins, people_price_their_own_tenant_only,
        budgets_reach_every_holder, wrong_budgets_name_their_fields, budgets_change_in_place_and_go_by_pruning;
    secrets:
        a_secret_reaches_nodes_and_is_nowhere_in_the_clear, a_secret_put_in_another_place_cannot_be_read,
        a_node_with_another_key_reads_nothing_and_writes_nothing,
        everything_is_encrypted_anew_under_another_key,
        what_was_kept_in_the_clear_is_encrypted_at_the_next_start, a_secret_that_a_service_sends_stays,
        no_node_of_several_makes_a_key_of_its_own, where_a_secret_is_sent_is_said_by_who_may_change_secrets;
    resources:
        applying_twice_changes_nothing, applying_an_export_changes_nothing, a_dry_run_changes_nothing,
        everything_wrong_is_said_at_once, services_that_tie_are_refused, an_update_names_its_fields,
        pruning_deletes_what_is_not_named, pruning_spares_what_live_keys_need, short_names_must_be_clear,
        a_permit_for_another_tenant_is_refused;
    keys:
        a_created_key_is_recognised, what_a_key_says_is_kept, bad_keys_are_refused_with_their_fields,
        states_change_and_revoked_is_final, an_expiry_moves, rotation_overlaps_and_ends_older_secrets,
        a_key_is_found_by_the_beginning_of_its_id, listing_gives_every_key_once, permits_are_asked,
        init_happens_once;
    people:
        the_owner_of_init_can_sign_in, sessions_end_by_their_limits,
        sessions_are_listed_and_ended_by_whom_they_belong_to, a_rotated_token_leaves_the_old_one_useless,
        an_invitation_is_good_once, only_owners_make_owners, a_change_of_role_ends_sessions,
        developers_are_mapped_to_consumers_of_the_tenant,
        a_thousand_mutual_demotions_leave_an_owner, the_audit_of_people_holds_no_secret;
    credentials:
        passwords_and_second_factors_change_by_their_person_only, a_reset_is_good_once_and_ends_sessions,
        an_administrator_begins_a_reset_for_members_only, a_first_step_is_good_once_and_ends_with_the_password,
        what_was_proven_before_a_change_begins_nothing_after_it,
        only_the_second_factor_whose_code_was_shown_is_switched_on,
        a_lost_second_factor_is_taken_away_by_the_host_alone;
    standing:
        who_lost_the_right_meanwhile_changes_nothing,
        an_invitation_is_good_while_its_sender_may_send_it,
        a_consumer_deleted_since_an_invitation_is_left_out;
    tenants:
        one_resource_is_created_replaced_and_deleted, a_project_goes_only_when_it_is_empty,
        a_tenant_is_read_without_the_others, keys_are_edited_one_and_many,
        a_step_of_a_job_looks_at_no_more_keys_than_it_may, a_named_request_is_claimed_once;
    tokens: a_service_token_lives_and_dies;
    import:
        every_scheme_is_recognised, a_rehash_replaces_the_hash, collisions_and_rejects_are_reported,
        an_import_dry_run_changes_nothing, slow_prefixes_are_bounded, hmac_secrets_are_bounded;
    feed:
        eight_writers_lose_nothing, a_rollback_leaves_no_gap, changes_of_another_process_arrive,
        a_restored_database_is_noticed, an_older_record_never_replaces_a_newer, loading_equals_following,
        concurrent_switches_never_undo_a_revocation;
    audit: the_chain_verifies, any_change_of_a_field_is_found, missing_added_and_moved_rows_are_found,
        the_audit_is_listed_by_page;
    notices:
        changes_of_keys_are_told_with_what_they_are_about,
        reminders_are_told_once_each,
        what_is_old_is_forgotten_and_positions_go_on,
        pages_of_notices_hold_each_once;
    webhooks:
        webhooks_are_applied_exported_and_pruned,
        a_webhook_is_told_what_it_wants_and_nothing_from_before, an_overtaken_sender_writes_nothing,
        a_receiver_that_is_gone_or_fails_for_days_is_switched_off_and_resumed,
        tests_go_to_one_webhook_and_replays_send_the_same_again,
        secrets_of_webhooks_overlap_and_are_nowhere_in_the_clear,
        a_dead_receiver_keeps_no_more_than_a_bound_and_loses_nothing,
        what_waits_for_a_notice_that_is_forgotten_is_given_up,
        a_deleted_webhook_takes_everything_with_it;
    rules:
        rules_are_applied_exported_and_pruned,
        a_rule_acts_once_and_its_block_reaches_nodes_and_ends_by_time,
        a_watch_that_was_overtaken_changes_nothing,
        what_only_observes_is_noted_and_a_lift_by_hand_is_known,
        blocks_have_room_for_every_tenant_and_end_with_their_subject,
        shipped_decisions_are_read_on_once_each_even_while_blocks_are_merged;
    reminders:
        each_is_made_once_and_ends_when_it_is_so_no_longer, a_digest_is_taken_once_a_day,
        what_was_not_handed_over_is_in_the_next_digest,
        nobody_takes_over_the_mail_of_another_account, what_expires_does_not_wait_behind_a_backlog;
    seals: every_byte_of_an_export_counts, lines_that_are_gone_new_or_moved_are_found,
        every_byte_of_a_checkpoint_counts, a_chain_that_was_cut_or_computed_anew_is_found,
        the_last_checkpoint_of_each_key_is_noted;
    nodes: waiting_ends_when_all_have_applied, waiting_ends_with_the_lease, waiting_for_shipments;
    usage:
        shipping_again_counts_once, overlapping_and_concurrent_shipments_count_once, losses_count_once,
        quotas_are_exact, usage_is_grouped, decisions_are_kept_and_paged, the_last_use_is_shown,
        what_is_old_is_forgotten, times_of_answers_add_up, secrets_ended_long_ago_are_forgotten;
    usage_models:
        tokens_and_costs_add_up_by_model_key_and_day, no_record_stops_shipping, what_was_refused_is_on_no_bill;
    ingest:
        at_the_bound_of_bytes_nothing_is_taken_until_there_is_room,
        a_record_counts_once_by_tenant_source_and_id, a_named_request_takes_effect_once_and_has_one_answer,
        a_storm_of_the_same_requests_has_one_effect_each, ids_and_order_outlive_the_process,
        records_are_found_by_what_they_are, what_there_is_no_room_for_is_refused_at_once,
        records_of_many_keys_in_one_batch_are_each_of_their_own,
        ids_from_before_are_known_to_the_next_run, only_the_present_relay_moves_the_cursor,
        types_of_events_have_versions_and_schemas_that_compile;
    leases:
        a_lease_takes_what_is_free_and_no_more, nodes_that_lease_at_once_never_pass_the_limit,
        what_is_shipped_is_drawn_once, an_overtaken_shipment_draws_nothing,
        what_nothing_covers_is_an_overrun, the_end_of_a_run_charges_what_is_open_and_frees_the_rest,
        a_lost_journal_charges_the_whole_lease, leases_do_what_their_model_does;
    quota_holds:
        what_a_call_held_when_its_run_ended_is_used_once,
        the_journal_proves_what_a_call_used_before_its_hold_counts,
        what_a_command_ships_for_a_killed_node_is_held_by_that_node,
        what_is_held_of_a_lease_is_withheld_and_then_used, many_holds_are_counted_in_turns,
        holds_do_what_their_model_does;
    quota_leases:
        a_quota_is_leased_up_to_its_amount, what_a_run_did_not_use_comes_back,
        what_was_used_beyond_a_lease_is_left_for_nobody, what_was_granted_in_a_period_ends_with_its_later_end,
        quota_leases_do_what_their_model_does,
        nodes_at_once_lease_all_of_a_quota_and_no_more;
    lease_rounds:
        a_round_gives_each_account_what_it_would_alone, rounds_at_once_never_pass_a_limit;
    lost_leases: a_lost_journal_that_is_shipped_meanwhile_is_charged_once;
    budget_accounts:
        an_account_follows_its_budget, an_older_budget_changes_no_account, a_threshold_is_told_once;
    ledger:
        a_reservation_takes_all_or_nothing_and_ends_once, transfers_that_mean_nothing_are_refused,
        what_nobody_can_tell_counts_as_spent, an_overrun_blocks_until_it_is_forgiven,
        funds_come_with_a_permit_and_a_reason, entries_are_paged_and_sum_up_to_zero,
        a_balance_that_is_not_its_entries_is_told, concurrent_reservations_never_overspend,
        the_ledger_does_what_its_model_does;
    usage_blocks:
        edges_of_blocks_lose_and_double_nothing, a_shipment_cut_anywhere_counts_once,
        a_rare_key_is_found_without_unpacking_the_others,
        small_blocks_are_merged_and_nothing_else_changes, asks_are_counted;
    usage_spans:
        sums_of_any_span_are_those_of_its_records, folding_beside_shipments_counts_each_record_once,
        what_was_summed_up_by_minute_only_is_folded_too, hours_and_days_outlive_minutes,
        the_keys_with_the_most_requests_are_found_among_many;
}
