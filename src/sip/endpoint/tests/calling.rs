//! Calls that we make.

use super::script::{check, check_over};
use crate::sip::Transport;
use crate::sip::endpoint::Settings;

#[test]
fn we_call_and_are_answered() {
    for transport in [Transport::Udp, Transport::Tcp] {
        check_over(
            transport,
            Settings::default(),
            "
            > call
            INVITE sdp
            > 100 INVITE
            > 180 INVITE tag=a
            event progress 180
            > 200 INVITE tag=a sdp
            ACK
            event accepted sdp
            > 200 INVITE tag=a sdp
            ACK
            > info
            INFO body
            > 200 INFO
            > hang up
            BYE [Q.850;cause=16;text=\"bye\"]
            > 200 BYE
            event ended ByUs
            ",
        );
    }
}

#[test]
fn an_invite_is_repeated_until_someone_hears_it() {
    check(
        "
        > call
        INVITE sdp
        > wait 40s
        500ms INVITE sdp
        1500ms INVITE sdp
        3500ms INVITE sdp
        7500ms INVITE sdp
        15500ms INVITE sdp
        31500ms INVITE sdp
        32000ms event rejected 408
        ",
    );
}

#[test]
fn a_refusal_is_acknowledged_each_time() {
    check(
        "
        > call
        INVITE sdp
        > 486 INVITE tag=a
        ACK
        event rejected 486
        > 486 INVITE tag=a
        ACK
        ",
    );
}

#[test]
fn the_peer_offers_when_we_do_not() {
    check(
        "
        > call without offer
        INVITE
        > 200 INVITE tag=a sdp
        event accepted sdp
        > 200 INVITE tag=a sdp
        > ack
        ACK sdp
        > 200 INVITE tag=a sdp
        ACK sdp
        > BYE 1 wrong-tag
        481 BYE
        > hang up
        BYE [Q.850;cause=16;text=\"bye\"]
        > 200 BYE
        event ended ByUs
        ",
    );
}

#[test]
fn we_give_up_a_call() {
    check(
        "
        > call
        INVITE sdp
        > cancel
        > wait 600ms
        500ms INVITE sdp
        > 100 INVITE
        CANCEL
        > 200 CANCEL
        > 487 INVITE tag=a
        ACK
        event rejected 487
        ",
    );
    check(
        "
        > call
        INVITE sdp
        > 180 INVITE tag=a
        event progress 180
        > cancel
        CANCEL
        > 200 INVITE tag=a sdp
        ACK
        BYE
        > 200 CANCEL
        > 200 BYE
        event ended ByUs
        ",
    );
    check_over(
        Transport::Tcp,
        Settings::default(),
        "
        > call
        INVITE sdp
        > 180 INVITE tag=a
        event progress 180
        > hang up
        CANCEL
        > 200 CANCEL
        > wait 40s
        32000ms event rejected 487
        ",
    );
}

#[test]
fn a_phone_that_rings_for_ever_is_given_up() {
    check(
        "
        > call
        INVITE sdp
        > 180 INVITE tag=a
        event progress 180
        > wait 185s
        185000ms CANCEL
        > 200 CANCEL
        > 487 INVITE tag=a
        ACK
        event rejected 487
        ",
    );
}

#[test]
fn a_second_phone_that_answers_is_hung_up() {
    check(
        "
        > call
        INVITE sdp
        > 200 INVITE tag=a sdp
        ACK
        event accepted sdp
        > 200 INVITE tag=b sdp
        ACK
        BYE
        > 200 BYE
        > hang up
        BYE [Q.850;cause=16;text=\"bye\"]
        > 200 BYE
        event ended ByUs
        ",
    );
}

#[test]
fn we_change_the_session() {
    check(
        "
        > call
        INVITE sdp
        > 200 INVITE tag=a sdp
        ACK
        event accepted sdp
        > reinvite
        INVITE sdp
        > reinvite
        event change refused 491
        > 100 INVITE
        > 200 INVITE sdp
        ACK
        event modified sdp
        > 200 INVITE sdp
        ACK
        > reinvite
        INVITE sdp
        > 488 INVITE
        ACK
        event change refused 488
        > reinvite
        INVITE sdp
        > 481 INVITE
        ACK
        event ended Gone
        ",
    );
}

#[test]
fn a_peer_that_stays_silent_is_told_bye() {
    check_over(
        Transport::Tcp,
        Settings::default(),
        "
        > call
        INVITE sdp
        > 200 INVITE tag=a sdp
        ACK
        event accepted sdp
        > info
        INFO body
        > wait 40s
        32000ms BYE
        32000ms event ended Gone
        ",
    );
}

#[test]
fn a_connection_that_cannot_be_made_rejects_the_call() {
    check_over(
        Transport::Tcp,
        Settings::default(),
        "
        > call
        INVITE sdp
        > break
        event rejected 503
        ",
    );
}
