//! Calls that come in.

use std::time::{Duration, Instant};

use super::script::{check, check_over, endpoint, flow};
use crate::sip::Transport;
use crate::sip::endpoint::Settings;

#[test]
fn a_call_is_answered_and_the_caller_hangs_up() {
    for transport in [Transport::Udp, Transport::Tcp] {
        check_over(
            transport,
            Settings::default(),
            "
            > INVITE 1 offer
            100 INVITE
            event incoming lab 100 sdp
            > ring
            180 INVITE
            > answer
            200 INVITE sdp
            > ACK 1
            event established
            > BYE 2
            200 BYE
            event ended ByPeer
            > BYE 2 again
            200 BYE
            ",
        );
    }
}

#[test]
fn the_200_is_repeated_until_its_ack_over_streams_too() {
    for transport in [Transport::Udp, Transport::Tcp] {
        check_over(
            transport,
            Settings::default(),
            "
            > INVITE 1 offer
            100 INVITE
            event incoming lab 100 sdp
            > answer
            200 INVITE sdp
            > INVITE 1 again
            > wait 8s
            500ms 200 INVITE sdp
            1500ms 200 INVITE sdp
            3500ms 200 INVITE sdp
            7500ms 200 INVITE sdp
            > ACK 1
            event established
            > ACK 1 again
            > wait 60s
            > BYE 2
            200 BYE
            event ended ByPeer
            ",
        );
    }
}

#[test]
fn an_answer_that_nobody_acknowledges_is_taken_back() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > wait 32s
        500ms 200 INVITE sdp
        1500ms 200 INVITE sdp
        3500ms 200 INVITE sdp
        7500ms 200 INVITE sdp
        11500ms 200 INVITE sdp
        15500ms 200 INVITE sdp
        19500ms 200 INVITE sdp
        23500ms 200 INVITE sdp
        27500ms 200 INVITE sdp
        31500ms 200 INVITE sdp
        32000ms BYE [Q.850;cause=102;text=\"no acknowledgement\"]
        32000ms event ended NoAck
        > 200 BYE
        ",
    );
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    check(
        "
        > INVITE 1
        100 INVITE
        event incoming lab 100
        > answer
        200 INVITE sdp
        > UPDATE 2 offer
        491 UPDATE
        > ACK 1 sdp
        event established sdp
        > BYE 3
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn the_caller_gives_up_before_the_answer() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > ring
        180 INVITE
        > CANCEL 1
        200 CANCEL
        487 INVITE
        event ended Cancelled
        > CANCEL 1 again
        200 CANCEL
        > answer
        > wait 4s
        500ms 487 INVITE
        1500ms 487 INVITE
        3500ms 487 INVITE
        > INVITE 1 again
        487 INVITE
        > ACK 1 refused
        > INVITE 1 again
        > wait 4s
        ",
    );
}

#[test]
fn a_cancel_too_late_or_of_nothing_changes_nothing() {
    check(
        "
        > CANCEL 1
        481 CANCEL
        > INVITE 2 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > CANCEL 2
        200 CANCEL
        > ACK 2
        event established
        > hang up
        BYE [Q.850;cause=16;text=\"bye\"]
        > 200 BYE
        event ended ByUs
        ",
    );
}

#[test]
fn a_refusal_is_repeated_until_its_ack() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > refuse 404
        404 INVITE
        event ended ByUs
        > wait 2s
        500ms 404 INVITE
        1500ms 404 INVITE
        > ACK 1 refused
        > wait 40s
        ",
    );
    check_over(
        Transport::Tcp,
        Settings::default(),
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > refuse 503 later
        503 INVITE [Retry-After: 9]
        event ended ByUs
        > wait 2s
        ",
    );
}

#[test]
fn we_hang_up_in_every_state() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > hang up
        480 INVITE [Reason: Q.850;cause=16;text=\"bye\"]
        event ended ByUs
        > ACK 1 refused
        ",
    );
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > hang up
        > wait 600ms
        500ms 200 INVITE sdp
        > ACK 1
        BYE [Q.850;cause=16;text=\"bye\"]
        > INFO 2 [Content-Type: application/dtmf] body=5
        481 INFO
        > wait 600ms
        500ms BYE [Q.850;cause=16;text=\"bye\"]
        > BYE 3
        200 BYE
        event ended ByUs
        > 200 BYE
        ",
    );
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > INVITE 2 offer
        100 INVITE
        event offered sdp
        > hang up
        487 INVITE
        BYE [Q.850;cause=16;text=\"bye\"]
        > ACK 2 refused
        > 481 BYE
        event ended ByUs
        ",
    );
}

#[test]
fn a_bye_without_an_answer_ends_the_call_all_the_same() {
    check_over(
        Transport::Tcp,
        Settings::default(),
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > hang up
        BYE [Q.850;cause=16;text=\"bye\"]
        > wait 40s
        32000ms event ended ByUs
        ",
    );
}

#[test]
fn the_caller_says_bye_before_the_answer() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > ring
        180 INVITE
        > BYE 2
        200 BYE
        487 INVITE
        event ended ByPeer
        > ACK 1 refused
        ",
    );
}

#[test]
fn a_call_that_nobody_decides_on_does_not_ring_for_ever() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > wait 185s
        185000ms 480 INVITE
        185000ms event ended Unanswered
        > ACK 1 refused
        ",
    );
}

#[test]
fn the_session_is_changed_by_reinvite_and_update() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > INVITE 2 offer
        491 INVITE
        > ACK 2 refused
        > ACK 1
        event established
        > INVITE 3 offer contact=198.51.100.9:5070
        100 INVITE
        event offered sdp
        > INVITE 4 offer
        500 INVITE [Retry-After: 2]
        > ACK 4 refused
        > accept
        200 INVITE sdp
        > wait 600ms
        500ms 200 INVITE sdp
        > ACK 3
        event modified
        > INVITE 5
        100 INVITE
        event offered
        > accept
        200 INVITE sdp
        > ACK 5 sdp
        event modified sdp
        > INVITE 6 offer
        100 INVITE
        event offered sdp
        > decline 488
        488 INVITE
        > ACK 6 refused
        > UPDATE 7 offer
        event offered sdp
        > UPDATE 7 again
        > accept
        200 UPDATE sdp
        event modified
        > UPDATE 8 contact=198.51.100.8:5070
        200 UPDATE
        > UPDATE 9 offer
        event offered sdp
        > decline 488
        488 UPDATE
        > hang up
        BYE [Q.850;cause=16;text=\"bye\"] to 198.51.100.8:5070
        > 200 BYE
        event ended ByUs
        ",
    );
}

#[test]
fn an_update_before_the_answer_may_move_the_caller_but_not_offer() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > ring
        180 INVITE
        > UPDATE 2
        200 UPDATE
        > UPDATE 3 offer
        500 UPDATE [Retry-After: 2]
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
fn an_update_that_nobody_decides_on_is_hurried_and_forgotten() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > UPDATE 2 offer
        event offered sdp
        > wait 33s
        3500ms 100 UPDATE
        > UPDATE 3 offer
        event offered sdp
        > accept
        200 UPDATE sdp
        event modified
        > BYE 4
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn a_reinvite_is_cancelled_and_the_call_goes_on() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > INVITE 2 offer
        100 INVITE
        event offered sdp
        > CANCEL 2
        200 CANCEL
        487 INVITE
        > ACK 2 refused
        > accept
        > BYE 3
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn a_reinvite_whose_200_is_never_acknowledged_ends_the_call() {
    check_over(
        Transport::Udp,
        Settings::default(),
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > INVITE 2 offer
        100 INVITE
        event offered sdp
        > accept
        200 INVITE sdp
        > wait 32s
        500ms 200 INVITE sdp
        1500ms 200 INVITE sdp
        3500ms 200 INVITE sdp
        7500ms 200 INVITE sdp
        11500ms 200 INVITE sdp
        15500ms 200 INVITE sdp
        19500ms 200 INVITE sdp
        23500ms 200 INVITE sdp
        27500ms 200 INVITE sdp
        31500ms 200 INVITE sdp
        32000ms BYE [Q.850;cause=102;text=\"no acknowledgement\"]
        32000ms event ended NoAck
        > 481 BYE
        ",
    );
}

#[test]
fn keys_come_by_info_and_each_is_counted_once() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > INFO 2 [Content-Type: application/dtmf-relay] body=Signal=5\\nDuration=160\\n
        200 INFO
        event digit 5 160
        > INFO 2 again
        200 INFO
        > INFO 2 branch=copy [Content-Type: application/dtmf] body=5
        500 INFO
        > INFO 10 [Content-Type: application/dtmf] body=#
        200 INFO
        event digit # 0
        > INFO 11 [Content-Type: text/plain] body=5
        415 INFO
        > INFO 12 [Content-Type: application/dtmf] body=?
        400 INFO
        > INFO 13
        200 INFO
        > INFO 14 [Info-Package: weather]
        469 INFO
        > INFO 15 wrong-tag [Content-Type: application/dtmf] body=5
        481 INFO
        > INFO 16 tagless [Content-Type: application/dtmf] body=5
        481 INFO
        > BYE 17
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn what_we_do_not_do_is_refused_by_name() {
    check(
        "
        > OPTIONS 1
        200 OPTIONS
        > REGISTER 2
        405 REGISTER
        > REFER 3
        405 REFER
        > SUBSCRIBE 4
        405 SUBSCRIBE
        > DANCE 5
        501 DANCE
        > BYE 6
        481 BYE
        > BYE 7 wrong-tag
        481 BYE
        > INFO 8
        481 INFO
        > NOTIFY 9 [Event: message-summary]
        489 NOTIFY
        > PRACK 9
        481 PRACK
        > OPTIONS 9 [Require: replaces]
        420 OPTIONS [Unsupported: replaces]
        > INVITE 10 offer [Require: precondition, 100rel, replaces, timer]
        420 INVITE [Unsupported: precondition, replaces]
        event turned away 420 Extension
        > ACK 10 refused
        > INVITE 11 offer [Accept: text/plain]
        406 INVITE
        event turned away 406 Accept
        > ACK 11 refused
        > INVITE 12 [Content-Type: text/plain] body=hello
        415 INVITE
        event turned away 415 Body
        > ACK 12 refused
        > INVITE 13 offer [Replaces: x;to-tag=1;from-tag=2]
        481 INVITE
        event turned away 481 Replaces
        > ACK 13 refused
        > INVITE 14 offer [Session-Expires: 60] [Supported: timer]
        422 INVITE [Min-SE: 90]
        event turned away 422 Interval
        > ACK 14 refused
        > ACK 15
        > CANCEL 16
        481 CANCEL
        > drain
        > OPTIONS 17
        503 OPTIONS [Retry-After: 10]
        ",
    );
}

#[test]
fn a_call_makes_no_other_call_and_is_given_to_nobody() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > REFER 2 [Refer-To: <sip:+15550100@198.51.100.7>]
        405 REFER
        event not done REFER 405
        > MESSAGE 3 [Content-Type: text/plain] body=hello
        405 MESSAGE
        event not done MESSAGE 405
        > INVITE 4 offer [Replaces: x;to-tag=1;from-tag=2]
        481 INVITE
        event not done INVITE 481
        > ACK 4 refused
        > INFO 5 [Content-Type: application/dtmf] body=5
        200 INFO
        event digit 5 0
        > BYE 6 [Reason: Q.850;cause=16;text=\"Normal call clearing\", SIP;cause=200]
        200 BYE
        event ended ByPeer 16 200 Normal call clearing
        ",
    );
}

#[test]
fn a_bye_may_come_before_the_ack_of_our_answer() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > BYE 2
        200 BYE
        event ended ByPeer
        > ACK 1
        > BYE 3
        481 BYE
        ",
    );
}

#[test]
fn the_one_who_gives_up_may_say_why() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > CANCEL 1 [Reason: SIP;cause=200;text=\"Call completed elsewhere\"]
        200 CANCEL
        487 INVITE
        event ended Cancelled 0 200 Call completed elsewhere
        > ACK 1 refused
        ",
    );
}

#[test]
fn a_dialog_of_an_earlier_life_begins_anew_and_one_of_this_life_is_over() {
    check(
        "
        > INVITE 5 wrong-tag offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 5
        event established
        > BYE 6
        200 BYE
        event ended ByPeer
        ",
    );
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > BYE 2
        200 BYE
        event ended ByPeer
        > INVITE 3 offer
        481 INVITE
        > ACK 3 refused
        ",
    );
}

#[test]
fn the_same_request_over_two_ways_is_one() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > INVITE 1 offer branch=other
        482 INVITE
        > ACK 1 branch=other
        > refuse 486
        486 INVITE
        event ended ByUs
        > ACK 1 refused
        ",
    );
}

#[test]
fn another_trunk_cannot_touch_the_call() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > from 203.0.113.5:5060
        > BYE 2
        481 BYE
        > from 198.51.100.99:6000
        > BYE 3
        200 BYE to 198.51.100.99:5060
        event ended ByPeer
        ",
    );
}

#[test]
fn a_trunk_that_is_gone_can_end_its_calls_and_nothing_else() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > no trunks
        > OPTIONS 2 tagless
        > no trunks
        > BYE 3
        200 BYE
        event ended ByPeer
        > OPTIONS 4 tagless
        ",
    );
}

#[test]
fn a_call_ends_as_it_should_though_its_source_is_another_trunks_now() {
    check(
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1
        event established
        > other trunks
        > BYE 2
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn a_session_without_a_refresh_expires() {
    check(
        "
        > INVITE 1 offer [Supported: timer] [Session-Expires: 600;refresher=uac]
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp [Session-Expires: 600;refresher=uac]
        > ACK 1
        event established
        > wait 300s
        > UPDATE 2 [Supported: timer] [Session-Expires: 600]
        200 UPDATE [Session-Expires: 600;refresher=uac]
        > wait 569s
        568000ms BYE [Q.850;cause=102;text=\"session expired\"]
        568000ms event ended SessionExpired
        568500ms BYE [Q.850;cause=102;text=\"session expired\"]
        > 200 BYE
        ",
    );
}

#[test]
fn we_refresh_the_session_when_the_peer_leaves_it_to_us() {
    check(
        "
        > INVITE 1 offer [Supported: timer] [Allow: INVITE, UPDATE] [Session-Expires: 600;refresher=uas]
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp [Session-Expires: 600;refresher=uas]
        > ACK 1
        event established
        > wait 300s
        300000ms UPDATE [Session-Expires: 600;refresher=uac]
        > 200 UPDATE [Session-Expires: 600;refresher=uac]
        > wait 300s
        300000ms UPDATE [Session-Expires: 600;refresher=uac]
        > 481 UPDATE
        event ended Gone
        ",
    );
}

#[test]
fn a_connection_that_breaks_ends_what_is_not_answered() {
    check_over(
        Transport::Tcp,
        Settings::default(),
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > break
        event ended Transport
        > answer
        ",
    );
    check_over(
        Transport::Tcp,
        Settings::default(),
        "
        > INVITE 1 offer
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp
        > ACK 1 
        event established
        > break
        > hang up
        BYE [Q.850;cause=16;text=\"bye\"]
        > break
        event ended ByUs
        ",
    );
}

#[test]
fn an_unknown_source_is_not_answered_and_costs_nothing() {
    let mut endpoint = endpoint(Settings::default(), 1);
    let mut stranger = flow(Transport::Udp);
    stranger.peer = "192.0.2.99:5060".parse().unwrap();
    let options = "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                   To: <sip:h>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
    let now = Instant::now();
    for bytes in [options.as_bytes(), b"", b"\0\xff", b"\r\n\r\n"] {
        endpoint.receive(now, &stranger, bytes);
    }
    assert_eq!(endpoint.poll_transmit(), None);
    assert_eq!((endpoint.refused_sources(), endpoint.load()), (4, Default::default()));
}

#[test]
fn a_full_endpoint_says_so_and_keeps_nothing() {
    let settings = Settings { transactions_max: 3, calls_max: 1, ..Settings::default() };
    let mut endpoint = endpoint(settings, 1);
    let flow = flow(Transport::Udp);
    let now = Instant::now();
    let mut answers = Vec::new();
    for (number, method) in [(1, "INVITE"), (2, "INVITE"), (3, "OPTIONS"), (4, "OPTIONS"), (5, "OPTIONS")] {
        let text = format!(
            "{method} sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{number}\r\nFrom: <sip:a@h>;tag={number}\r\n\
             To: <sip:h>\r\nCall-ID: {number}\r\nCSeq: 1 {method}\r\n\r\n"
        );
        endpoint.receive(now, &flow, text.as_bytes());
        while let Some(transmit) = endpoint.poll_transmit() {
            let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
            let retry = if text.contains("Retry-After: 10") { " later" } else { "" };
            answers.push(format!("{number}: {}{retry}", &text[8..11]));
        }
    }
    assert_eq!(answers, ["1: 100", "2: 503 later", "3: 200", "4: 200", "5: 503 later"]);
    assert_eq!((endpoint.load().server_transactions, endpoint.load().calls), (3, 1));
    assert_eq!(endpoint.counters().overloaded, 2);
    endpoint.handle_timeout(now + Duration::from_secs(400));
}
