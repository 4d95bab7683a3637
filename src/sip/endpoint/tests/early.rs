//! Before the answer: ringing that is acknowledged (RFC 3262), and changes of the session (RFC 3311).

use super::script::{check, check_over, trunk};
use crate::sip::Transport;
use crate::sip::endpoint::Settings;
use crate::sip::trunk::Reliable;

#[test]
fn ringing_is_acknowledged_when_the_caller_requires_it() {
    for transport in [Transport::Udp, Transport::Tcp] {
        check_over(
            transport,
            Settings::default(),
            "
            > INVITE 1 offer [Require: 100rel]
            100 INVITE
            event incoming lab 100 sdp reliable
            > ring sdp
            180 INVITE sdp [RSeq]
            > wait 4s
            500ms 180 INVITE sdp [RSeq]
            1500ms 180 INVITE sdp [RSeq]
            3500ms 180 INVITE sdp [RSeq]
            > PRACK 2 [RAck: RSEQ 1 INVITE]
            200 PRACK
            > PRACK 2 again
            200 PRACK
            > wait 10s
            > answer
            200 INVITE
            > ACK 1
            event established
            > BYE 3
            200 BYE
            event ended ByPeer
            ",
        );
    }
}

#[test]
fn the_answer_waits_for_the_acknowledgement_of_a_description() {
    check(
        "
        > INVITE 1 offer [Require: 100rel]
        100 INVITE
        event incoming lab 100 sdp reliable
        > ring sdp
        180 INVITE sdp [RSeq]
        > answer
        > wait 600ms
        500ms 180 INVITE sdp [RSeq]
        > PRACK 2 [RAck: RSEQ 1 INVITE]
        200 PRACK
        200 INVITE
        > ACK 1
        event established
        > BYE 3
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn ringing_without_a_description_does_not_hold_the_answer_back() {
    check(
        "
        > INVITE 1 offer [Require: 100rel]
        100 INVITE
        event incoming lab 100 sdp reliable
        > ring
        180 INVITE [RSeq]
        > answer
        200 INVITE sdp
        > wait 600ms
        500ms 200 INVITE sdp
        > PRACK 2 [RAck: RSEQ 1 INVITE]
        200 PRACK
        > ACK 1
        event established
        > BYE 3
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn only_the_right_number_acknowledges() {
    check(
        "
        > INVITE 1 offer [Require: 100rel]
        100 INVITE
        event incoming lab 100 sdp reliable
        > ring sdp
        180 INVITE sdp [RSeq]
        > PRACK 2 [RAck: 1 1 INVITE]
        481 PRACK
        > PRACK 3 [RAck: RSEQ 2 INVITE]
        481 PRACK
        > PRACK 4 [RAck: RSEQ 1 UPDATE]
        481 PRACK
        > PRACK 5
        400 PRACK
        > PRACK 6 [RAck: RSEQ]
        400 PRACK
        > PRACK 7 wrong-tag [RAck: RSEQ 1 INVITE]
        481 PRACK
        > PRACK 8 [RAck: RSEQ 1 INVITE] [Content-Type: text/plain] body=x
        415 PRACK
        > PRACK 9 [RAck: RSEQ 1 INVITE]
        200 PRACK
        > PRACK 10 [RAck: RSEQ 1 INVITE]
        481 PRACK
        > CANCEL 1
        200 CANCEL
        487 INVITE
        event ended Cancelled
        > ACK 1 refused
        > PRACK 11 [RAck: RSEQ 1 INVITE]
        481 PRACK
        ",
    );
}

#[test]
fn ringing_that_nobody_acknowledges_ends_the_call() {
    check(
        "
        > INVITE 1 offer [Require: 100rel]
        100 INVITE
        event incoming lab 100 sdp reliable
        > ring sdp
        180 INVITE sdp [RSeq]
        > answer
        > wait 32s
        500ms 180 INVITE sdp [RSeq]
        1500ms 180 INVITE sdp [RSeq]
        3500ms 180 INVITE sdp [RSeq]
        7500ms 180 INVITE sdp [RSeq]
        15500ms 180 INVITE sdp [RSeq]
        31500ms 180 INVITE sdp [RSeq]
        32000ms 504 INVITE
        32000ms event ended NoPrack
        > ACK 1 refused
        ",
    );
}

#[test]
fn a_late_offer_goes_out_with_the_ringing() {
    check(
        "
        > INVITE 1 [Require: 100rel]
        100 INVITE
        event incoming lab 100 reliable
        > ring
        > ring sdp
        180 INVITE sdp [RSeq]
        > UPDATE 2 offer
        491 UPDATE
        > answer
        > PRACK 3 sdp [RAck: RSEQ 1 INVITE]
        200 PRACK
        200 INVITE
        event modified sdp
        > ACK 1
        event established
        > BYE 4
        200 BYE
        event ended ByPeer
        ",
    );
    check(
        "
        > INVITE 1 [Require: 100rel]
        100 INVITE
        event incoming lab 100 reliable
        > ring sdp
        180 INVITE sdp [RSeq]
        > PRACK 3 [RAck: RSEQ 1 INVITE]
        200 PRACK
        event modified nothing
        > refuse 488
        488 INVITE
        event ended ByUs
        > ACK 1 refused
        ",
    );
}

#[test]
fn a_prack_may_bring_another_offer() {
    check(
        "
        > INVITE 1 offer [Require: 100rel]
        100 INVITE
        event incoming lab 100 sdp reliable
        > ring sdp
        180 INVITE sdp [RSeq]
        > PRACK 2 offer [RAck: RSEQ 1 INVITE]
        event offered sdp
        > answer
        > UPDATE 3 offer
        500 UPDATE [Retry-After: 2]
        > accept
        200 PRACK sdp
        200 INVITE
        event modified
        > ACK 1
        event established
        > BYE 4
        200 BYE
        event ended ByPeer
        ",
    );
    check(
        "
        > INVITE 1 offer [Require: 100rel]
        100 INVITE
        event incoming lab 100 sdp reliable
        > ring
        180 INVITE [RSeq]
        > PRACK 2 offer [RAck: RSEQ 1 INVITE]
        488 PRACK
        > ring
        180 INVITE [RSeq]
        > PRACK 3 [RAck: RSEQ 1 INVITE]
        200 PRACK
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > BYE 4
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn the_session_changes_before_the_answer_once_it_is_agreed() {
    check(
        "
        > INVITE 1 offer [Require: 100rel] [Allow: INVITE, UPDATE]
        100 INVITE
        event incoming lab 100 sdp reliable
        > UPDATE 2 offer
        481 UPDATE
        > ring sdp
        180 INVITE sdp [RSeq]
        > UPDATE 3 offer
        500 UPDATE [Retry-After: 2]
        > PRACK 4 [RAck: RSEQ 1 INVITE]
        200 PRACK
        > UPDATE 5 offer
        event offered sdp
        > answer
        > INVITE 6 offer
        500 INVITE [Retry-After: 2]
        > ACK 6 refused
        > accept
        200 UPDATE sdp
        200 INVITE
        event modified
        > UPDATE 7 offer
        event offered sdp
        > decline 488
        488 UPDATE
        > ACK 1
        event established
        > BYE 8
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn a_trunk_may_want_every_ringing_acknowledged_that_can_be() {
    for (wanted, reliable) in [(Reliable::Required, false), (Reliable::Supported, true)] {
        let mut lab = trunk("lab", "198.51.100.0/24");
        lab.reliable = wanted;
        let (word, ring) = if reliable { (" reliable", "180 INVITE sdp [RSeq]") } else { ("", "180 INVITE") };
        super::script::check_trunks(
            vec![lab],
            &format!(
                "
                > INVITE 1 offer [Supported: timer, 100rel]
                100 INVITE
                event incoming lab 100 sdp{word}
                > ring sdp
                {ring}
                > refuse 486
                486 INVITE
                event ended ByUs
                > ACK 1 refused
                > INVITE 2 tagless offer
                100 INVITE
                event incoming lab 100 sdp
                "
            ),
        );
    }
}

#[test]
fn we_acknowledge_the_ringing_of_those_we_call() {
    check(
        "
        > call
        INVITE sdp
        > 180 INVITE tag=a [Require: 100rel] [RSeq: 7]
        PRACK [RAck: 7 1 INVITE]
        event progress 180
        > 180 INVITE tag=a [Require: 100rel] [RSeq: 7]
        > 183 INVITE tag=a [Require: 100rel] [RSeq: 9]
        > 200 PRACK
        > 183 INVITE tag=a sdp [Require: 100rel] [RSeq: 8] [Allow: UPDATE]
        PRACK [RAck: 8 1 INVITE]
        event progress 183 sdp
        > 200 PRACK
        > update
        UPDATE sdp
        > UPDATE 1 offer
        491 UPDATE
        > 200 UPDATE sdp
        event modified sdp
        > UPDATE 2 offer
        event offered sdp
        > accept
        200 UPDATE sdp
        event modified
        > 200 INVITE tag=a
        ACK
        event accepted
        > hang up
        BYE [Q.850;cause=16;text=\"bye\"]
        > 200 BYE
        event ended ByUs
        ",
    );
}

#[test]
fn an_offer_that_comes_with_the_ringing_is_answered_in_the_prack() {
    check(
        "
        > call without offer
        INVITE
        > 183 INVITE tag=a sdp
        event progress 183
        > ack
        > 183 INVITE tag=a sdp [Require: 100rel] [RSeq: 100]
        event progress 183 sdp
        > ack
        PRACK sdp [RAck: 100 1 INVITE]
        > 200 PRACK
        > 200 INVITE tag=a
        ACK
        event accepted
        > hang up
        BYE [Q.850;cause=16;text=\"bye\"]
        > 200 BYE
        event ended ByUs
        ",
    );
}

#[test]
fn each_phone_that_rings_has_its_own_acknowledgement() {
    check(
        "
        > call
        INVITE sdp
        > 180 INVITE tag=a [Require: 100rel] [RSeq: 7]
        PRACK [RAck: 7 1 INVITE]
        event progress 180
        > 180 INVITE tag=b [Require: 100rel] [RSeq: 7]
        PRACK [RAck: 7 1 INVITE]
        event progress 180
        > 200 PRACK
        > 200 INVITE tag=b sdp
        ACK
        event accepted sdp
        > hang up
        BYE [Q.850;cause=16;text=\"bye\"]
        > 200 BYE
        event ended ByUs
        ",
    );
}

#[test]
fn an_answer_that_comes_after_the_call_is_over_is_acknowledged_and_ended() {
    check(
        "
        > call
        INVITE sdp
        > 180 INVITE tag=a
        event progress 180
        > BYE 5
        200 BYE
        event ended ByPeer
        > 200 INVITE tag=a sdp
        ACK
        BYE
        > 200 BYE
        ",
    );
}
