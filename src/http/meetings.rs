//! `/meetings`: scheduling, changing, opening, closing, cancelling.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::conditions::{Conditions, Tagged};
use super::context::Context;
use super::input::{Body, Id, Parameters, present};
use super::invitation::{self, Invitation};
use super::list::{List, Paging};
use super::once::Once;
use super::problem::Problem;
use super::words::{DeliveryState, KnownCallers, MeetingKind, MeetingState};
use super::{check, hosts};
use crate::bridge::recurrence::BadRecurrence;
use crate::bridge::view::MeetingState as State_;
use crate::bridge::{Command, Recurrence, Rejection};
use crate::store::words::Word;
use crate::store::{self, MeetingChange, NewMeeting};
use crate::types::{Country, HostId, Language, MeetingId};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMeetingBody {
    kind: MeetingKind,
    /// 1 to 200 characters.
    title: String,
    #[schema(format = DateTime)]
    starts_at: String,
    /// Later than `starts_at`, and still to come.
    #[schema(format = DateTime)]
    ends_at: String,
    /// IANA name: what times in invitations are told in. Absent: UTC.
    #[schema(example = "Europe/London")]
    time_zone: Option<String>,
    /// A rule such as `FREQ=WEEKLY;BYDAY=TU,TH;COUNT=10` (RFC 5545 §3.3.10): daily to yearly, with INTERVAL,
    /// COUNT or UNTIL, BYDAY, BYMONTHDAY, BYMONTH, BYSETPOS, WKST. Needs `time_zone`; `starts_at` and
    /// `ends_at` are those of the first meeting. All share one code.
    #[schema(example = "FREQ=WEEKLY;BYDAY=TU,TH;COUNT=10")]
    recurrence: Option<String>,
    /// Mail addresses, at most 500.
    #[serde(default)]
    invitees: Vec<String>,
    /// Tighter than the host's.
    known_callers: Option<KnownCallers>,
    #[serde(default)]
    wait_for_moderator: bool,
}

/// What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MeetingPatch {
    title: Option<String>,
    #[schema(format = DateTime)]
    starts_at: Option<String>,
    #[schema(format = DateTime)]
    ends_at: Option<String>,
    /// Null: UTC.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    time_zone: Option<Option<String>>,
    /// Null: it happens once.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    recurrence: Option<Option<String>>,
    /// In place of those it has.
    invitees: Option<Vec<String>>,
    /// Null: the host's.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<KnownCallers>)]
    known_callers: Option<Option<KnownCallers>>,
    wait_for_moderator: Option<bool>,
}

/// A meeting as its host and the operator see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Meeting {
    #[schema(value_type = String, format = Uuid)]
    id: MeetingId,
    #[schema(value_type = String, format = Uuid)]
    host_id: HostId,
    kind: MeetingKind,
    state: MeetingState,
    /// The host's own meeting, without times.
    standing: bool,
    title: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    time_zone: Option<String>,
    /// As it was understood. `starts_at` and `ends_at` are those of the first meeting.
    recurrence: Option<String>,
    pin: String,
    /// Null for a standard meeting.
    code: Option<String>,
    /// It was guessed at too often: callers who are not verified go to the lobby even with the right one,
    /// until there is a new one. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    code_used_up: Option<bool>,
    access_numbers: Vec<AccessNumber>,
    /// One link per access number, such as `tel:+442079460000,,471100815#,,4271#`.
    one_tap: Vec<String>,
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation: Option<Invitation>,
    /// What became of the invitations: the newest of each guest. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Vec<Delivery>>,
    invitees: Vec<String>,
    known_callers: Option<KnownCallers>,
    wait_for_moderator: bool,
    /// Of the invitation.
    sequence: u32,
    /// `moderator` or `caller`.
    opened_by: Option<&'static str>,
    #[schema(value_type = Option<String>, format = DateTime)]
    opened_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AccessNumber {
    number: String,
    #[schema(value_type = String)]
    language: Language,
    #[schema(value_type = Option<String>)]
    country: Option<Country>,
}

/// The way of an invitation to one guest.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    recipient: String,
    sequence: u32,
    /// It takes the meeting out of the guest's calendar.
    cancels: bool,
    state: DeliveryState,
    /// Times that it was handed to the mail server, or should have been.
    attempts: u32,
    /// While it is queued.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    /// What the mail server said to the last attempt that did not succeed.
    last_error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    queued_at: Timestamp,
    /// When it was sent or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<Timestamp>,
}

impl From<store::Delivery> for Delivery {
    fn from(delivery: store::Delivery) -> Self {
        Self {
            recipient: delivery.recipient,
            sequence: delivery.sequence,
            cancels: delivery.cancels,
            state: delivery.state.into(),
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at,
            last_error: delivery.last_error,
            queued_at: delivery.queued_at,
            settled_at: delivery.settled_at,
        }
    }
}

/// What is told of one meeting and not in lists.
struct Told {
    deliveries: Vec<store::Delivery>,
    code_used_up: bool,
}

impl Told {
    async fn of(context: &Context, meeting: MeetingId) -> Result<Self, Problem> {
        let code_used_up = context.store.code_used_up(meeting, context.now()).await?;
        Ok(Self { deliveries: context.store.deliveries(meeting).await?, code_used_up })
    }
}

impl Meeting {
    /// `told`: with its invitation and what became of it.
    fn of(context: &Context, host: &store::Host, meeting: store::Meeting, told: Option<Told>) -> Self {
        let numbers = &context.service.operations.access_numbers();
        let access_numbers = numbers.iter().map(|number| AccessNumber {
            number: number.number.reveal().to_owned(),
            language: number.language.clone(),
            country: number.country,
        });
        let invitation = invitation::of(host, &meeting, numbers);
        Self {
            id: meeting.id,
            host_id: meeting.host,
            kind: meeting.kind.into(),
            state: meeting.state.into(),
            standing: meeting.standing,
            starts_at: meeting.starts_at,
            ends_at: meeting.ends_at,
            pin: host.pin.reveal().to_owned(),
            code: meeting.code.as_ref().map(|code| code.reveal().to_owned()),
            code_used_up: told.as_ref().map(|told| told.code_used_up),
            access_numbers: access_numbers.collect(),
            one_tap: invitation.one_tap(),
            invitation: told.is_some().then(|| invitation.render().into()),
            deliveries: told.map(|told| told.deliveries.into_iter().map(Into::into).collect()),
            recurrence: meeting.recurrence.as_ref().map(ToString::to_string),
            title: meeting.title,
            time_zone: meeting.time_zone,
            invitees: meeting.invitees,
            known_callers: meeting.known_callers.map(Into::into),
            wait_for_moderator: meeting.wait_for_moderator,
            sequence: meeting.sequence,
            opened_by: meeting.opened_by.map(Word::word),
            opened_at: meeting.opened_at,
            closed_at: meeting.closed_at,
            created_at: meeting.created_at,
            updated_at: meeting.updated_at,
        }
    }
}

/// Schedules a meeting. A One Time Meeting gets a code of its own.
#[utoipa::path(post, path = "/hosts/{id}/meetings", tag = "meetings", params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key within 24 h, it is done once and answered as before.")),
    request_body = NewMeetingBody, responses((status = 201, body = Meeting), (status = 422, body = Problem)))]
pub async fn add_meeting(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    once: Once,
    Body(body): Body<NewMeetingBody>,
) -> Result<impl IntoResponse, Problem> {
    let host = hosts::visible(&context, caller, id).await?;
    let now = context.now();
    let new = NewMeeting {
        kind: body.kind.into(),
        title: check::line("title", &body.title)?,
        starts_at: check::time("starts_at", &body.starts_at)?,
        ends_at: check::time("ends_at", &body.ends_at)?,
        time_zone: body.time_zone.as_deref().map(|text| check::time_zone("time_zone", text)).transpose()?,
        recurrence: body.recurrence.as_deref().map(rule).transpose()?,
        invitees: check::invitees("invitees", &body.invitees)?,
        known_callers: body.known_callers.map(Into::into),
        wait_for_moderator: body.wait_for_moderator,
    };
    in_order(Some(new.starts_at), Some(new.ends_at))?;
    let last = last_end(new.starts_at, new.ends_at, new.time_zone.as_deref(), new.recurrence.as_ref())?;
    if !context.store.was_done(once.get(), now).await? {
        not_over(last, now)?;
    }
    let meeting = context.store.add_meeting_once(id, &new, now, once.get()).await?;
    let location = hosts::location("meetings", meeting.id);
    let told = Told::of(&context, meeting.id).await?;
    Ok((StatusCode::CREATED, [location], Json(Meeting::of(&context, &host, meeting, Some(told)))))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MeetingFilter {
    state: Option<MeetingState>,
    kind: Option<MeetingKind>,
    /// Those that end after this time, with their last occurrence.
    from: Option<String>,
    /// Those that start before this time, with their first occurrence.
    to: Option<String>,
    /// Most items, 1 to 200; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// The host's meetings, newest first; the standing one is the last.
#[utoipa::path(get, path = "/hosts/{id}/meetings", tag = "meetings",
    params(("id" = String, Path), MeetingFilter),
    responses((status = 200, body = List<Meeting>), (status = 404, body = Problem)))]
pub async fn list_meetings(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    Parameters(filter): Parameters<MeetingFilter>,
) -> Result<Json<List<Meeting>>, Problem> {
    let host = hosts::visible(&context, caller, id).await?;
    let range = Paging { limit: filter.limit, cursor: filter.cursor.clone() }.range()?;
    let time = |name, text: &Option<String>| {
        let text = text.as_deref();
        let bad = |_| Problem::bad_parameter(name, "expected a time as in RFC 3339");
        text.map(|text| check::time(name, text).map_err(bad)).transpose()
    };
    let filter = store::MeetingFilter {
        state: filter.state.map(Into::into),
        kind: filter.kind.map(Into::into),
        from: time("from", &filter.from)?,
        to: time("to", &filter.to)?,
    };
    let page = context.store.meetings(id, filter, range).await?;
    Ok(Json(List::of(page, |meeting| Meeting::of(&context, &host, meeting, None))))
}

/// One meeting with its invitation.
#[utoipa::path(get, path = "/meetings/{id}", tag = "meetings", params(("id" = String, Path), ("If-None-Match" = Option<String>, Header, description = "ETag of the answer that is known already.")),
    responses((status = 200, body = Meeting), (status = 304, description = "It is as the caller knows it."), (status = 404, body = Problem)))]
pub async fn get_meeting(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<MeetingId>,
    conditions: Conditions,
) -> Result<Response, Problem> {
    let meeting = visible(&context, caller, id).await?;
    Ok(shown(&context, meeting).await?.unless_known(&conditions))
}

/// Changes a meeting; its invitation gets the next sequence number.
#[utoipa::path(patch, path = "/meetings/{id}", tag = "meetings", params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "ETag of what is to be changed; if it has changed meanwhile, nothing is done.")),
    request_body = MeetingPatch,
    responses((status = 412, body = Problem), (status = 200, body = Meeting), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn patch_meeting(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<MeetingId>,
    conditions: Conditions,
    Body(body): Body<MeetingPatch>,
) -> Result<Tagged<Meeting>, Problem> {
    let meeting = visible(&context, caller, id).await?;
    let now = context.now();
    let change = MeetingChange {
        title: body.title.map(|text| check::line("title", &text)).transpose()?,
        starts_at: body.starts_at.map(|text| check::time("starts_at", &text)).transpose()?,
        ends_at: body.ends_at.map(|text| check::time("ends_at", &text)).transpose()?,
        time_zone: match body.time_zone {
            Some(Some(text)) => Some(Some(check::time_zone("time_zone", &text)?)),
            Some(None) => Some(None),
            None => None,
        },
        recurrence: match body.recurrence {
            Some(Some(text)) => Some(Some(rule(&text)?)),
            Some(None) => Some(None),
            None => None,
        },
        invitees: body.invitees.map(|texts| check::invitees("invitees", &texts)).transpose()?,
        known_callers: body.known_callers.map(|word| word.map(Into::into)),
        wait_for_moderator: body.wait_for_moderator,
    };
    in_order(change.starts_at.or(meeting.starts_at), change.ends_at.or(meeting.ends_at))?;
    let timed = change.starts_at.is_some() || change.ends_at.is_some();
    let times = change.starts_at.or(meeting.starts_at).zip(change.ends_at.or(meeting.ends_at));
    if let Some((starts_at, ends_at)) = times {
        let zone = change.time_zone.as_ref().unwrap_or(&meeting.time_zone).as_deref();
        let rule = change.recurrence.as_ref().unwrap_or(&meeting.recurrence).as_ref();
        let last = last_end(starts_at, ends_at, zone, rule)?;
        if timed || change.recurrence.is_some() {
            not_over(last, now)?;
        }
    }
    let versions = conditions.versions();
    let changed = context.store.change_meeting_if(id, &change, now, versions.as_deref()).await?;
    shown(&context, changed).await
}

/// Cancels a meeting; whoever is in it or waits for it hears so. Cancelling twice is cancelling once.
#[utoipa::path(delete, path = "/meetings/{id}", tag = "meetings", params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "ETag of what is to be changed; if it has changed meanwhile, nothing is done.")),
    responses((status = 412, body = Problem), (status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn cancel_meeting(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<MeetingId>,
    conditions: Conditions,
) -> Result<StatusCode, Problem> {
    visible(&context, caller, id).await?;
    context.store.cancel_meeting_if(id, context.now(), conditions.versions().as_deref()).await?;
    match context.switchboard.command(caller.by(), Command::Cancelled { meeting: id }).await {
        // Nobody was there to be told.
        Ok(_) | Err(Rejection::NotOpen | Rejection::NotToBeOpened) => Ok(StatusCode::NO_CONTENT),
        Err(rejection) => Err(rejection.into()),
    }
}

/// Opens a meeting as its moderator. A live one of the same host closes first.
#[utoipa::path(post, path = "/meetings/{id}/open", tag = "meetings", params(("id" = String, Path)),
    responses((status = 200, body = Meeting), (status = 204, description = "The same, to a moderator link."), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub async fn open_meeting(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<MeetingId>,
) -> Result<Response, Problem> {
    let meeting = moderated(&context, caller, id).await?;
    if meeting.state == State_::Cancelled {
        return Err(store::Error::from(store::Refusal::Cancelled).into());
    }
    let host = context.store.host_view(meeting.host, Some(id), context.now()).await?;
    let host = Box::new(host.ok_or_else(|| Problem::no_such("meeting"))?);
    context.command(caller, Command::Open { host, meeting: id }).await?;
    shown_to(&context, caller, id).await
}

/// Ends a live meeting for all.
#[utoipa::path(post, path = "/meetings/{id}/close", tag = "meetings", params(("id" = String, Path)),
    responses((status = 200, body = Meeting), (status = 204, description = "The same, to a moderator link."), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn close_meeting(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<MeetingId>,
) -> Result<Response, Problem> {
    let meeting = moderated(&context, caller, id).await?;
    match context.switchboard.command(caller.by(), Command::Close { meeting: id }).await {
        Ok(_) => {}
        // The table says open and nobody is there: the table is wrong.
        Err(Rejection::NotOpen) if meeting.state == State_::Open => {
            context.store.close_meeting(id, context.now()).await?;
        }
        Err(rejection) => return Err(rejection.into()),
    }
    shown_to(&context, caller, id).await
}

/// Draws a new one-time code. The old one is worth nothing at once.
#[utoipa::path(post, path = "/meetings/{id}/new-code", tag = "meetings", params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key within 24 h, it is done once and answered as before.")),
    responses((status = 200, body = Meeting), (status = 409, body = Problem)))]
pub async fn new_code(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<MeetingId>,
    once: Once,
) -> Result<Tagged<Meeting>, Problem> {
    visible(&context, caller, id).await?;
    let meeting = context.store.new_code_once(id, context.now(), once.get()).await?;
    shown(&context, meeting).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationOrder {
    /// Mail addresses, at most 500. Absent: the meeting's invitees. They learn of changes like invitees.
    to: Option<Vec<String>>,
    /// Also to those who have this version: they get it as the next one.
    #[serde(default)]
    again: bool,
}

/// Sends the invitation to those who do not have its newest version. It is on its way when this
/// answers; what became of it is in `deliveries`.
#[utoipa::path(post, path = "/meetings/{id}/invitations", tag = "meetings", params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key within 24 h, it is done once and answered as before.")),
    request_body = InvitationOrder,
    responses((status = 202, body = Meeting), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn send_invitations(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<MeetingId>,
    once: Once,
    Body(body): Body<InvitationOrder>,
) -> Result<impl IntoResponse, Problem> {
    visible(&context, caller, id).await?;
    let to = body.to.map(|texts| check::invitees("to", &texts)).transpose()?;
    let meeting = context.store.invite_once(id, to.as_deref(), body.again, context.now(), once.get()).await?;
    Ok((StatusCode::ACCEPTED, shown(&context, meeting).await?))
}

/// The meeting, if the caller may see and change all of it.
pub async fn visible(context: &Context, caller: Caller, id: MeetingId) -> Result<store::Meeting, Problem> {
    // Before it is looked for: that would tell which meetings there are.
    caller.scope()?;
    let meeting = context.store.meeting(id).await?.ok_or_else(|| Problem::no_such("meeting"))?;
    caller.may_see(meeting.host, "meeting")?;
    Ok(meeting)
}

/// The meeting, if the caller may moderate it.
pub async fn moderated(context: &Context, caller: Caller, id: MeetingId) -> Result<store::Meeting, Problem> {
    let meeting = context.store.meeting(id).await?.ok_or_else(|| Problem::no_such("meeting"))?;
    caller.may_moderate(meeting.host, Some(id), "meeting")?;
    Ok(meeting)
}

/// What a moderator is told after an act. PIN, code and invitees are no concern of a link's.
async fn shown_to(context: &Context, caller: Caller, id: MeetingId) -> Result<Response, Problem> {
    match caller {
        Caller::Operator | Caller::Host(_) => {
            Ok(shown(context, visible(context, caller, id).await?).await?.into_response())
        }
        Caller::Link(_) => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

async fn shown(context: &Context, meeting: store::Meeting) -> Result<Tagged<Meeting>, Problem> {
    let host = context.store.host(meeting.host).await?.ok_or_else(|| Problem::no_such("meeting"))?;
    let told = Told::of(context, meeting.id).await?;
    let version = meeting.version();
    Ok(Tagged::new(context, &version, Meeting::of(context, &host, meeting, Some(told))))
}

fn rule(text: &str) -> Result<Recurrence, Problem> {
    text.parse().map_err(|error: BadRecurrence| Problem::invalid("recurrence", error.to_string()))
}

/// When the last occurrence ends. The first must fit the rule.
fn last_end(
    starts_at: Timestamp,
    ends_at: Timestamp,
    time_zone: Option<&str>,
    rule: Option<&Recurrence>,
) -> Result<Timestamp, Problem> {
    store::series(starts_at, ends_at, time_zone, rule).map(|series| series.ends_at()).map_err(|error| {
        let field = match error {
            BadRecurrence::WithoutTimeZone | BadRecurrence::NoTimeZone(_) => "time_zone",
            BadRecurrence::EndsBeforeItStarts => "ends_at",
            BadRecurrence::Ambiguous => "starts_at",
            _ => "recurrence",
        };
        Problem::invalid(field, error.to_string())
    })
}

fn in_order(starts_at: Option<Timestamp>, ends_at: Option<Timestamp>) -> Result<(), Problem> {
    match starts_at.zip(ends_at) {
        Some((starts_at, ends_at)) if starts_at >= ends_at => Err(Problem::invalid(
            "ends_at",
            format!("{ends_at}, expected a time after starts_at, {starts_at}"),
        )),
        _ => Ok(()),
    }
}

fn not_over(ends_at: Timestamp, now: Timestamp) -> Result<(), Problem> {
    if ends_at > now {
        Ok(())
    } else {
        Err(Problem::invalid("ends_at", format!("{ends_at}, expected a time still to come")))
    }
}
