//! Hosts: accounts with a PIN, a private host PIN, phones of their own and a standing meeting.

use super::database::{Transaction, query};
use jiff::Timestamp;

use super::notices::Notices;
use super::once::{Once, Outcome};
use super::outbox::Method;
use super::page::{Cursor, Page, Range};
use super::row::{Columns, Row, millis};
use super::words::Word;
use super::{Error, Refusal, Store, draw};
use crate::bridge::guess::Counter;
use crate::bridge::view::KnownCallers;
use crate::types::{HostId, HostPin, Language, MeetingId, PhoneNumber, Pin};

/// A host as its owner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub id: HostId,
    pub name: String,
    pub email: String,
    pub language: Option<Language>,
    pub known_callers: KnownCallers,
    pub notices: Notices,
    /// Each notice is mailed to `email`, too.
    pub notice_mail: bool,
    pub numbers: Vec<PhoneNumber>,
    pub pin: Pin,
    /// When this PIN was drawn.
    pub pin_at: Timestamp,
    pub standard_meeting: MeetingId,
    pub created_at: Timestamp,
    /// Differs whenever anything of this does.
    pub version: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewHost {
    pub name: String,
    pub email: String,
    pub language: Option<Language>,
    pub known_callers: KnownCallers,
    pub numbers: Vec<PhoneNumber>,
}

/// What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostChange {
    pub name: Option<String>,
    pub email: Option<String>,
    pub language: Option<Option<Language>>,
    pub known_callers: Option<KnownCallers>,
    pub notices: Option<Notices>,
    pub notice_mail: Option<bool>,
    pub numbers: Option<Vec<PhoneNumber>>,
}

impl Store {
    /// Makes a host with a PIN of `pin_length` digits, a host PIN and its standing meeting. The
    /// host PIN is told here and never again.
    pub async fn add_host(
        &self,
        new: &NewHost,
        pin_length: usize,
        now: Timestamp,
    ) -> Result<(Host, HostPin), Error> {
        self.add_host_once(new, pin_length, now, None).await
    }

    /// The same, at most once for each `once`.
    pub async fn add_host_once(
        &self,
        new: &NewHost,
        pin_length: usize,
        now: Timestamp,
        once: Option<&Once>,
    ) -> Result<(Host, HostPin), Error> {
        let (host, meeting) = (HostId::fresh(), MeetingId::fresh());
        let host_pin = draw::host_pin()?;
        let mut transaction = self.begin().await?;
        if let Some(outcome) = self.outcome(&mut transaction, once, now).await? {
            let host = self.host(outcome.host()?).await?.ok_or(Refusal::NoSuchHost)?;
            return Ok((host, outcome.host_pin()?));
        }
        let pin = self.free_pin(&mut transaction, pin_length).await?;
        query(
            "INSERT INTO hosts (id, name, email, language, known_callers, pin_mac, pin_sealed, pin_length,
                                pin_at, host_pin_mac, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9)",
        )
        .bind(host.to_string())
        .bind(&new.name)
        .bind(&new.email)
        .bind(new.language.as_ref().map(Language::as_str))
        .bind(new.known_callers.word())
        .bind(self.keys().pin(pin.reveal()).to_vec())
        .bind(self.keys().seal("pin", host.0.as_bytes(), pin.reveal())?)
        .bind(pin_length as i64)
        .bind(millis(now))
        .bind(self.keys().host_pin(host, &host_pin).to_vec())
        .execute(&mut transaction)
        .await?;
        query(
            "INSERT INTO meetings (id, host, kind, standing, state, title, invitees, wait_for_moderator,
                                   sequence, created_at, updated_at)
             VALUES ($1, $2, 'standard', 1, 'scheduled', $3, '[]', 0, 0, $4, $4)",
        )
        .bind(meeting.to_string())
        .bind(host.to_string())
        .bind(&new.name)
        .bind(millis(now))
        .execute(&mut transaction)
        .await?;
        self.replace_numbers(&mut transaction, host, &new.numbers).await?;
        let outcome = Outcome { id: host.to_string(), secret: Some(host_pin.reveal().to_owned()) };
        self.keep_outcome(&mut transaction, once, &outcome, now).await?;
        transaction.commit().await?;
        let host = self.host(host).await?.ok_or(Error::Unreadable("host"))?;
        Ok((host, host_pin))
    }

    pub async fn host(&self, host: HostId) -> Result<Option<Host>, Error> {
        let row = query(HOST).bind(host.to_string()).fetch_optional(self.reader()).await?;
        match row {
            Some(row) => Ok(Some(self.read_host(&row).await?)),
            None => Ok(None),
        }
    }

    /// Oldest first.
    pub async fn hosts(&self, range: Range) -> Result<Page<Host>, Error> {
        let rows = query(HOSTS)
            .bind(range.after.map_or_else(String::new, |cursor| cursor.id.to_string()))
            .bind(i64::from(range.limit) + 1)
            .fetch_all(self.reader())
            .await?;
        let mut hosts = Vec::with_capacity(rows.len());
        for row in &rows {
            hosts.push(self.read_host(row).await?);
        }
        Ok(Page::of(hosts, range.limit, |host| Cursor { time: 0, id: host.id.0 }))
    }

    /// `None`: there is no such host.
    pub async fn change_host(&self, host: HostId, change: &HostChange) -> Result<Option<Host>, Error> {
        self.change_host_if(host, change, None).await
    }

    /// The same, if it is still of one of these versions.
    pub async fn change_host_if(
        &self,
        host: HostId,
        change: &HostChange,
        versions: Option<&[String]>,
    ) -> Result<Option<Host>, Error> {
        let mut transaction = self.begin().await?;
        self.is_host_still(host, versions).await?;
        let changed = query(
            "UPDATE hosts SET name = COALESCE($2, name), email = COALESCE($3, email),
                              known_callers = COALESCE($4, known_callers),
                              notices = COALESCE($7, notices),
                              notice_mail = COALESCE($8, notice_mail),
                              language = CASE WHEN $5 = 1 THEN $6 ELSE language END
             WHERE id = $1",
        )
        .bind(host.to_string())
        .bind(change.name.as_ref())
        .bind(change.email.as_ref())
        .bind(change.known_callers.map(Word::word))
        .bind(change.language.is_some())
        .bind(change.language.as_ref().and_then(|language| language.as_ref()).map(Language::as_str))
        .bind(change.notices.map(Word::word))
        .bind(change.notice_mail.map(i64::from))
        .execute(&mut transaction)
        .await?;
        if changed.rows_affected() > 0
            && let Some(numbers) = &change.numbers
        {
            self.replace_numbers(&mut transaction, host, numbers).await?;
        }
        transaction.commit().await?;
        self.known_changed(host, Timestamp::now());
        self.host(host).await
    }

    /// Takes the host with its meetings, tokens and verified numbers away. Its PIN is never given
    /// to another. `false`: there was none.
    pub async fn remove_host(&self, host: HostId, now: Timestamp) -> Result<bool, Error> {
        self.remove_host_if(host, now, None).await
    }

    /// The same, if it is still of one of these versions.
    pub async fn remove_host_if(
        &self,
        host: HostId,
        now: Timestamp,
        versions: Option<&[String]>,
    ) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        self.is_host_still(host, versions).await?;
        retire_pin(&mut transaction, host, now).await?;
        let removed =
            query("DELETE FROM hosts WHERE id = $1").bind(host.to_string()).execute(&mut transaction).await?;
        transaction.commit().await?;
        self.known_changed(host, now);
        Ok(removed.rows_affected() > 0)
    }

    /// Draws a new PIN and forgets every verified number of the host (R5). `None`: no such host.
    pub async fn new_pin(
        &self,
        host: HostId,
        pin_length: usize,
        now: Timestamp,
    ) -> Result<Option<Host>, Error> {
        self.new_pin_once(host, pin_length, now, None).await
    }

    /// The same, at most once for each `once`.
    pub async fn new_pin_once(
        &self,
        host: HostId,
        pin_length: usize,
        now: Timestamp,
        once: Option<&Once>,
    ) -> Result<Option<Host>, Error> {
        let mut transaction = self.begin().await?;
        if self.outcome(&mut transaction, once, now).await?.is_some() {
            return self.host(host).await;
        }
        retire_pin(&mut transaction, host, now).await?;
        let pin = self.free_pin(&mut transaction, pin_length).await?;
        query("UPDATE hosts SET pin_mac = $2, pin_sealed = $3, pin_length = $4, pin_at = $5 WHERE id = $1")
            .bind(host.to_string())
            .bind(self.keys().pin(pin.reveal()).to_vec())
            .bind(self.keys().seal("pin", host.0.as_bytes(), pin.reveal())?)
            .bind(pin_length as i64)
            .bind(millis(now))
            .execute(&mut transaction)
            .await?;
        query("DELETE FROM verified_numbers WHERE host = $1")
            .bind(host.to_string())
            .execute(&mut transaction)
            .await?;
        self.renew(&mut transaction, &[Counter::CodesOf(host), Counter::HostPinsOf(host)]).await?;
        self.tell_new_pin(&mut transaction, host, now).await?;
        let outcome = Outcome { id: host.to_string(), secret: None };
        self.keep_outcome(&mut transaction, once, &outcome, now).await?;
        transaction.commit().await?;
        self.known_changed(host, now);
        self.outbox().ring();
        self.host(host).await
    }

    /// Invitations to what is still to come name the old PIN: guests get new ones.
    async fn tell_new_pin(
        &self,
        connection: &mut Transaction,
        host: HostId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let rows = query(
            "UPDATE meetings SET sequence = sequence + 1, updated_at = $2
             WHERE host = $1 AND standing = 0 AND state IN ('scheduled', 'open')
               AND coalesce(series_ends_at, ends_at) > $2 RETURNING id",
        )
        .bind(host.to_string())
        .bind(millis(now))
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            let meeting = self.read_back(&mut *connection, MeetingId(row.uuid("id")?)).await?;
            let guests = self.audience(&mut *connection, &meeting).await?;
            self.queue(&mut *connection, &meeting, Method::Request, &guests, now).await?;
        }
        Ok(())
    }

    /// Draws a new host PIN, which is told here and never again. `None`: no such host.
    pub async fn new_host_pin(&self, host: HostId) -> Result<Option<HostPin>, Error> {
        self.new_host_pin_once(host, Timestamp::now(), None).await
    }

    /// The same, at most once for each `once`.
    pub async fn new_host_pin_once(
        &self,
        host: HostId,
        now: Timestamp,
        once: Option<&Once>,
    ) -> Result<Option<HostPin>, Error> {
        let pin = draw::host_pin()?;
        let mut transaction = self.begin().await?;
        if let Some(outcome) = self.outcome(&mut transaction, once, now).await? {
            return outcome.host_pin().map(Some);
        }
        let changed = query("UPDATE hosts SET host_pin_mac = $2 WHERE id = $1")
            .bind(host.to_string())
            .bind(self.keys().host_pin(host, &pin).to_vec())
            .execute(&mut transaction)
            .await?;
        self.renew(&mut transaction, &[Counter::HostPin(host)]).await?;
        let outcome = Outcome { id: host.to_string(), secret: Some(pin.reveal().to_owned()) };
        self.keep_outcome(&mut transaction, once, &outcome, now).await?;
        transaction.commit().await?;
        Ok((changed.rows_affected() > 0).then_some(pin))
    }

    async fn read_host(&self, row: &Row) -> Result<Host, Error> {
        let id = HostId(row.uuid("id")?);
        let language = row.text_or_null("language")?.map(|text| text.parse()).transpose();
        let mut host = Host {
            id,
            name: row.text("name")?,
            email: row.text("email")?,
            language: language.map_err(|_| Error::Unreadable("language"))?,
            known_callers: row.word("known_callers")?,
            notices: row.word("notices")?,
            notice_mail: row.number("notice_mail")? != 0,
            numbers: self.numbers_of(id).await?,
            pin: self.keys().unseal_pin(id, &row.bytes("pin_sealed")?)?,
            pin_at: row.time("pin_at")?,
            standard_meeting: MeetingId(row.uuid("standard_meeting")?),
            created_at: row.time("created_at")?,
            version: String::new(),
        };
        host.version = self.fingerprint(fields_of(&host).as_bytes());
        Ok(host)
    }

    /// `versions`: those that it may be of. Asked within a transaction that nobody writes beside.
    async fn is_host_still(&self, host: HostId, versions: Option<&[String]>) -> Result<(), Error> {
        let Some(versions) = versions else { return Ok(()) };
        // Who is not there is told so by what follows.
        let now = self.host(host).await?.map(|host| host.version);
        if now.is_none_or(|now| versions.contains(&now)) { Ok(()) } else { Err(Refusal::Changed.into()) }
    }

    /// A PIN that nobody has or had, and that neither begins with another nor another with it.
    async fn free_pin(&self, connection: &mut Transaction, length: usize) -> Result<Pin, Error> {
        let lengths = query("SELECT DISTINCT pin_length FROM hosts WHERE pin_length <> $1")
            .bind(length as i64)
            .fetch_all(&mut *connection)
            .await?;
        let mut shorter = Vec::new();
        let mut longer_pins = Vec::new();
        for row in &lengths {
            let other = row.number("pin_length")?;
            if other < length as i64 {
                shorter.push(usize::try_from(other).map_err(|_| Error::Unreadable("pin_length"))?);
                continue;
            }
            // Only MACs can be searched, and a prefix has none: longer PINs are opened. That is
            // once per draw and only while two lengths are in use.
            let rows = query("SELECT id, pin_sealed FROM hosts WHERE pin_length = $1")
                .bind(other)
                .fetch_all(&mut *connection)
                .await?;
            for row in &rows {
                longer_pins.push(self.keys().unseal_pin(HostId(row.uuid("id")?), &row.bytes("pin_sealed")?)?);
            }
        }
        for _ in 0..draw::TRIES {
            let pin = draw::pin(length)?;
            let mut candidates = vec![pin.reveal()];
            candidates.extend(shorter.iter().map(|length| &pin.reveal()[..*length]));
            let mut taken = longer_pins.iter().any(|longer| longer.reveal().starts_with(pin.reveal()));
            for candidate in candidates {
                taken |= query(
                    "SELECT 1 FROM hosts WHERE pin_mac = $1 UNION SELECT 1 FROM retired_pins WHERE pin_mac = $1",
                )
                .bind(self.keys().pin(candidate).to_vec())
                .fetch_optional(&mut *connection)
                .await?
                .is_some();
            }
            if !taken {
                return Ok(pin);
            }
        }
        Err(Error::NoneFree("PIN"))
    }
}

/// All that a host shows, for its version.
fn fields_of(host: &Host) -> String {
    let numbers: Vec<&str> = host.numbers.iter().map(PhoneNumber::reveal).collect();
    let language = host.language.as_ref().map(Language::as_str);
    let words = (host.known_callers.word(), host.notices.word(), host.notice_mail);
    format!("{:?}", (&host.name, &host.email, language, words, numbers, host.pin_at))
}

async fn retire_pin(connection: &mut Transaction, host: HostId, now: Timestamp) -> Result<(), Error> {
    query(
        "INSERT INTO retired_pins (pin_mac, retired_at) SELECT pin_mac, $2 FROM hosts WHERE id = $1
         ON CONFLICT (pin_mac) DO NOTHING",
    )
    .bind(host.to_string())
    .bind(millis(now))
    .execute(connection)
    .await?;
    Ok(())
}

const HOST: &str = "SELECT h.*, m.id AS standard_meeting FROM hosts h
     JOIN meetings m ON m.host = h.id AND m.standing = 1 WHERE h.id = $1";
const HOSTS: &str = "SELECT h.*, m.id AS standard_meeting FROM hosts h
     JOIN meetings m ON m.host = h.id AND m.standing = 1 WHERE h.id > $1 ORDER BY h.id LIMIT $2";
