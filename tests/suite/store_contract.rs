//! What the protocol requires of every store, and how each treats records that tflock did not write.

mod companions;
mod contract;
mod foreign;
mod odd_servers;
mod places;
mod races;
mod records;
mod renewals;
mod requests;

/// Each fact is one test for each store.
macro_rules! proven_by_all {
    ($($proofs:ident::$fact:ident),+ $(,)?) => {
        proven_by_all!(@store memory: $($proofs::$fact),+);
        proven_by_all!(@store local: $($proofs::$fact),+);
        proven_by_all!(@store dynamodb: $($proofs::$fact),+);
        proven_by_all!(@store s3: $($proofs::$fact),+);
        proven_by_all!(@store s3_that_ignores_if_match: $($proofs::$fact),+);
        proven_by_all!(@store s3_without_if_match: $($proofs::$fact),+);
        proven_by_all!(@store s3_that_calls_if_match_invalid: $($proofs::$fact),+);
        proven_by_all!(@store s3_that_never_finds_a_match: $($proofs::$fact),+);
        proven_by_all!(@store s3_that_feigns_to_overwrite: $($proofs::$fact),+);
        proven_by_all!(@store s3_that_is_declared_to_compare: $($proofs::$fact),+);
    };
    (@store $store:ident: $($proofs:ident::$fact:ident),+) => {
        mod $store {
            use super::{companions, contract, places};
            $(
                #[test]
                fn $fact() {
                    let place = places::$store();
                    places::block_on($proofs::$fact(&place));
                }
            )+
        }
    };
}

proven_by_all!(
    contract::nothing_is_read_where_nothing_stands,
    contract::a_record_reads_back_as_it_was_written,
    contract::a_hold_is_kept_through_a_run_or_refused_where_it_could_be_lost,
    contract::a_refusal_brings_the_holder_back,
    contract::what_comes_back_is_known_for_what_was_sent,
    contract::another_s_record_with_the_same_lock_id_is_neither_replaced_nor_deleted,
    contract::the_exact_record_is_replaced,
    contract::an_outdated_record_replaces_nothing,
    contract::the_exact_record_is_deleted,
    contract::an_outdated_record_deletes_nothing,
    contract::a_record_that_is_gone_is_neither_replaced_nor_deleted,
    contract::nothing_can_be_swapped_for_nothing,
    contract::each_answer_is_what_the_next_request_expects,
    contract::another_key_is_another_lock,
    contract::a_look_brings_what_stands_there_whatever_was_seen_before,
    companions::a_companion_keeps_its_text_and_changes_only_by_comparison,
    companions::a_companion_and_its_lock_do_not_disturb_each_other,
);
