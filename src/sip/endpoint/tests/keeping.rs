//! While it lasts: the session timer in both roles (RFC 4028), and changes that meet (RFC 3261 §14.1).

use super::script::{check, check_over};
use crate::sip::Transport;
use crate::sip::endpoint::Settings;

#[test]
fn a_peer_without_update_is_refreshed_by_the_same_description() {
    check(
        "
        > INVITE 1 offer [Supported: timer] [Allow: INVITE, BYE] [Session-Expires: 90;refresher=uas]
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp [Session-Expires: 90;refresher=uas]
        > ACK 1
        event established
        > wait 45s
        45000ms INVITE sdp [Session-Expires: 90;refresher=uac]
        > 200 INVITE sdp [Session-Expires: 90;refresher=uac]
        ACK
        > wait 45s
        45000ms INVITE sdp [Session-Expires: 90;refresher=uac]
        > 422 INVITE [Min-SE: 200]
        ACK
        INVITE sdp [Session-Expires: 200;refresher=uac] [Min-SE: 200]
        > 200 INVITE [Session-Expires: 200;refresher=uas]
        ACK
        > wait 168s
        168000ms BYE [Q.850;cause=102;text=\"session expired\"]
        168000ms event ended SessionExpired
        > 200 BYE
        ",
    );
}

#[test]
fn a_refresh_that_is_not_understood_takes_another_form() {
    check(
        "
        > INVITE 1 offer [Supported: timer] [Allow: INVITE, UPDATE] [Session-Expires: 90;refresher=uas]
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp [Session-Expires: 90;refresher=uas]
        > ACK 1
        event established
        > wait 45s
        45000ms UPDATE [Session-Expires: 90;refresher=uac]
        > 422 UPDATE [Min-SE: 120]
        UPDATE [Session-Expires: 120;refresher=uac] [Min-SE: 120]
        > 501 UPDATE
        INVITE sdp [Session-Expires: 120;refresher=uac] [Min-SE: 120]
        > 200 INVITE [Session-Expires: 120;refresher=uac]
        ACK
        > wait 60s
        60000ms INVITE sdp [Session-Expires: 120;refresher=uac] [Min-SE: 120]
        > 500 INVITE
        ACK
        > wait 14s
        14000ms INVITE sdp [Session-Expires: 120;refresher=uac] [Min-SE: 120]
        > 408 INVITE
        ACK
        BYE
        event ended Gone
        > 200 BYE
        ",
    );
}

#[test]
fn a_caller_whose_proxy_asks_for_a_timer_is_refreshed_by_us() {
    check(
        "
        > INVITE 1 offer [Session-Expires: 120]
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp [Session-Expires: 120;refresher=uas]
        > ACK 1
        event established
        > wait 60s
        60000ms INVITE sdp [Session-Expires: 120;refresher=uac]
        > 200 INVITE sdp
        ACK
        > wait 300s
        > BYE 2
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn a_refresh_of_the_peer_changes_nothing_but_the_time() {
    check(
        "
        > INVITE 1 offer [Supported: timer] [Session-Expires: 90]
        100 INVITE
        event incoming lab 100 sdp
        > answer
        200 INVITE sdp [Session-Expires: 90;refresher=uac]
        > ACK 1
        event established
        > wait 50s
        > INVITE 2 offer [Supported: timer] [Session-Expires: 90;refresher=uac]
        100 INVITE
        event offered sdp
        > accept
        200 INVITE sdp [Session-Expires: 90;refresher=uac]
        > ACK 2
        event modified
        > wait 50s
        > UPDATE 3 [Supported: timer] [Session-Expires: 80]
        422 UPDATE [Min-SE: 90]
        > UPDATE 4 [Supported: timer]
        200 UPDATE
        > wait 200s
        > BYE 5
        200 BYE
        event ended ByPeer
        ",
    );
}

#[test]
fn we_ask_for_a_timer_and_for_a_longer_one() {
    let settings = Settings { session_interval: Some(90), ..Settings::default() };
    check_over(
        Transport::Udp,
        settings.clone(),
        "
        > call
        INVITE sdp [Session-Expires: 90]
        > 422 INVITE tag=a [Min-SE: 300]
        ACK
        INVITE sdp [Session-Expires: 300] [Min-SE: 300]
        > 200 INVITE tag=b sdp [Session-Expires: 300;refresher=uas]
        ACK
        event accepted sdp
        > wait 268s
        268000ms BYE [Q.850;cause=102;text=\"session expired\"]
        268000ms event ended SessionExpired
        > 200 BYE
        ",
    );
    check_over(
        Transport::Udp,
        settings,
        "
        > call
        INVITE sdp [Session-Expires: 90]
        > 422 INVITE tag=a [Min-SE: 30]
        ACK
        event rejected 422
        ",
    );
}

#[test]
fn changes_that_meet_are_tried_again_by_each_at_its_time() {
    check(
        "
        > call
        INVITE sdp
        > 200 INVITE tag=a sdp
        ACK
        event accepted sdp
        > reinvite
        INVITE sdp
        > INVITE 1 offer
        491 INVITE
        > ACK 1 refused
        > 491 INVITE
        ACK
        > wait 2230ms
        2230ms INVITE sdp
        > 200 INVITE sdp
        ACK
        event modified sdp
        > hang up
        BYE [Q.850;cause=16;text=\"bye\"]
        > 200 BYE
        event ended ByUs
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
        > reinvite
        INVITE sdp
        > 491 INVITE
        ACK
        > wait 2s
        1960ms INVITE sdp
        > 491 INVITE
        ACK
        > INVITE 2 offer
        100 INVITE
        event change refused 491
        event offered sdp
        > accept
        200 INVITE sdp
        > ACK 2
        event modified
        > wait 10s
        > BYE 3
        200 BYE
        event ended ByPeer
        ",
    );
}
