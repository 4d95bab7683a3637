//! Verified numbers: phones that proved PIN and one-time code of a host once (R5).

use jiff::Timestamp;

use super::database::query;
use super::hooks::HookEvent;
use super::page::{Cursor, Page, Range};
use super::row::{Columns, Row, millis};
use super::{Error, Store, notices};
use crate::types::{HostId, MeetingId, PhoneNumber, Trust, VerifiedId};

/// One remembered (host, number), as the host sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    pub id: VerifiedId,
    pub host: HostId,
    pub number: PhoneNumber,
    /// The meeting whose code was proved.
    pub meeting: MeetingId,
    pub trust: Trust,
    pub trunk: String,
    pub verified_at: Timestamp,
    pub last_used_at: Timestamp,
}

impl Store {
    /// Remembers a phone; on the disk when this returns. Proving again renews everything.
    pub async fn remember(
        &self,
        host: HostId,
        number: &PhoneNumber,
        meeting: MeetingId,
        trust: Trust,
        trunk: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = query(
            "INSERT INTO verified_numbers
                 (id, host, number_mac, number_sealed, meeting, trust, trunk, verified_at, last_used_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
             ON CONFLICT (host, number_mac) DO UPDATE SET
                 meeting = excluded.meeting, trust = excluded.trust, trunk = excluded.trunk,
                 verified_at = excluded.verified_at, last_used_at = excluded.last_used_at",
        )
        .bind(VerifiedId::fresh().to_string())
        .bind(host.to_string())
        .bind(self.keys().number(number).to_vec())
        .bind(self.keys().seal_number(host.0.as_bytes(), number)?)
        .bind(meeting.to_string())
        .bind(trust.as_str())
        .bind(trunk.to_owned())
        .bind(millis(now));
        let new = self.notice_of_new_phone(host, number, meeting, now)?;
        let data = serde_json::json!({
            "host_id": host, "meeting_id": meeting, "number": number.masked(), "trust": trust, "trunk": trunk,
        });
        let event = uuid::Uuid::now_v7().to_string();
        let mac = self.keys().number(number).to_vec();
        let told = self.inner.hooks.rows(
            &event,
            HookEvent::NumberRemembered,
            &meeting.to_string(),
            Some(mac),
            now,
            data,
        );
        // In this order, and one commit for all in most cases.
        let (noticed, remembered, _) =
            tokio::join!(self.write(new), self.write(statement), self.write(Self::old_notices(host, now)));
        notices::told(noticed);
        self.notice_outbox().ring();
        remembered?;
        self.known_anew(number, now);
        // It is true now, and told behind the caller's back.
        if !told.is_empty() {
            let store = self.clone();
            tokio::spawn(async move {
                for one in told {
                    if let Err(cause) = store.write(one).await {
                        tracing::warn!(%cause, "a webhook of a remembered phone was not queued");
                    }
                }
                store.inner.hooks.ring();
            });
        }
        Ok(())
    }

    /// A use puts off expiry; a clock that stepped back takes nothing away.
    pub(super) async fn note_use(&self, verified: VerifiedId, date: Timestamp) -> Result<(), Error> {
        let statement =
            query("UPDATE verified_numbers SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2")
                .bind(verified.to_string())
                .bind(millis(date));
        self.write(statement).await?;
        Ok(())
    }

    /// For one host, or for all.
    pub(super) async fn forget(&self, host: Option<HostId>, number: &PhoneNumber) -> Result<(), Error> {
        let statement =
            query("DELETE FROM verified_numbers WHERE number_mac = $1 AND ($2 IS NULL OR host = $2)")
                .bind(self.keys().number(number).to_vec())
                .bind(host.map(|host| host.to_string()));
        let notices = query("DELETE FROM notices WHERE number_mac = $1 AND ($2 IS NULL OR host = $2)")
            .bind(self.keys().number(number).to_vec())
            .bind(host.map(|host| host.to_string()));
        // First here: what cannot be written is not known either.
        self.known_no_more(number);
        let (forgotten, notices) = tokio::join!(self.write(statement), self.write(notices));
        self.known_no_more(number);
        notices.and(forgotten).map(|_| ())
    }

    /// Newest first.
    pub async fn verified_numbers(&self, host: HostId, range: Range) -> Result<Page<Verified>, Error> {
        let rows = query(
            "SELECT * FROM verified_numbers WHERE host = $1 AND ($2 IS NULL OR id < $2)
             ORDER BY id DESC LIMIT $3",
        )
        .bind(host.to_string())
        .bind(range.after.map(|cursor| cursor.id.to_string()))
        .bind(i64::from(range.limit) + 1)
        .fetch_all(self.reader())
        .await?;
        let found = rows.iter().map(|row| self.read_verified(row)).collect::<Result<_, _>>()?;
        Ok(Page::of(found, range.limit, |verified: &Verified| Cursor { time: 0, id: verified.id.0 }))
    }

    /// `of`: only if it is this host's. `false`: there was none.
    pub async fn revoke(&self, verified: VerifiedId, of: Option<HostId>) -> Result<bool, Error> {
        let revoked = query("DELETE FROM verified_numbers WHERE id = $1 AND ($2 IS NULL OR host = $2)")
            .bind(verified.to_string())
            .bind(of.map(|host| host.to_string()))
            .execute(&self.inner.writer)
            .await?;
        self.all_known_no_more();
        Ok(revoked.rows_affected() > 0)
    }

    /// All of the host, or those that proved the code of one meeting: how many there were.
    pub async fn revoke_all(&self, host: HostId, meeting: Option<MeetingId>) -> Result<u64, Error> {
        let revoked = query("DELETE FROM verified_numbers WHERE host = $1 AND ($2 IS NULL OR meeting = $2)")
            .bind(host.to_string())
            .bind(meeting.map(|meeting| meeting.to_string()))
            .execute(&self.inner.writer)
            .await?;
        self.all_known_no_more();
        Ok(revoked.rows_affected())
    }

    pub(super) fn read_verified(&self, row: &Row) -> Result<Verified, Error> {
        let host = HostId(row.uuid("host")?);
        Ok(Verified {
            id: VerifiedId(row.uuid("id")?),
            host,
            number: self.keys().unseal_number(host.0.as_bytes(), &row.bytes("number_sealed")?)?,
            meeting: MeetingId(row.uuid("meeting")?),
            trust: Trust::from_name(&row.text("trust")?).ok_or(Error::Unreadable("trust"))?,
            trunk: row.text("trunk")?,
            verified_at: row.time("verified_at")?,
            last_used_at: row.time("last_used_at")?,
        })
    }
}
