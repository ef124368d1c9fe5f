//! What every store owes the protocol, and what each of them meets that tflock did not write.

mod contract;
mod foreign;
mod odd_servers;
mod places;
mod races;
mod records;
mod requests;

/// Each fact is one test for each store.
macro_rules! proven_by_all {
    ($($fact:ident),+ $(,)?) => {
        proven_by_all!(@store memory: $($fact),+);
        proven_by_all!(@store local: $($fact),+);
        proven_by_all!(@store dynamodb: $($fact),+);
        proven_by_all!(@store s3: $($fact),+);
        proven_by_all!(@store s3_that_ignores_if_match: $($fact),+);
        proven_by_all!(@store s3_without_if_match: $($fact),+);
        proven_by_all!(@store s3_that_calls_if_match_invalid: $($fact),+);
        proven_by_all!(@store s3_that_never_finds_a_match: $($fact),+);
    };
    (@store $store:ident: $($fact:ident),+) => {
        mod $store {
            use super::{contract, places};
            $(
                #[test]
                fn $fact() {
                    let place = places::$store();
                    places::block_on(contract::$fact(&place));
                }
            )+
        }
    };
}

proven_by_all!(
    nothing_is_read_where_nothing_stands,
    a_record_reads_back_as_it_was_written,
    a_refusal_brings_the_holder_back,
    what_comes_back_is_known_for_what_was_sent,
    another_s_record_with_the_same_lock_id_is_neither_replaced_nor_deleted,
    the_exact_record_is_replaced,
    an_outdated_record_replaces_nothing,
    the_exact_record_is_deleted,
    an_outdated_record_deletes_nothing,
    a_record_that_is_gone_is_neither_replaced_nor_deleted,
    nothing_can_be_swapped_for_nothing,
    each_answer_is_what_the_next_request_expects,
    another_key_is_another_lock,
);
