//! A host's own phones.

use super::database::{Transaction, query};

use super::row::Columns;
use super::{Error, Store};
use crate::types::{HostId, PhoneNumber};

impl Store {
    pub(super) async fn numbers_of(&self, host: HostId) -> Result<Vec<PhoneNumber>, Error> {
        let rows = query("SELECT number_sealed FROM host_numbers WHERE host = $1 ORDER BY position")
            .bind(host.to_string())
            .fetch_all(self.reader())
            .await?;
        rows.iter()
            .map(|row| self.keys().unseal_number(host.0.as_bytes(), &row.bytes("number_sealed")?))
            .collect()
    }

    /// In place of those it had. The same number twice counts once.
    pub(super) async fn replace_numbers(
        &self,
        connection: &mut Transaction,
        host: HostId,
        numbers: &[PhoneNumber],
    ) -> Result<(), Error> {
        query("DELETE FROM host_numbers WHERE host = $1")
            .bind(host.to_string())
            .execute(&mut *connection)
            .await?;
        for (position, number) in numbers.iter().enumerate() {
            query(
                "INSERT INTO host_numbers (host, number_mac, number_sealed, position)
                 VALUES ($1, $2, $3, $4) ON CONFLICT (host, number_mac) DO NOTHING",
            )
            .bind(host.to_string())
            .bind(self.keys().number(number).to_vec())
            .bind(self.keys().seal_number(host.0.as_bytes(), number)?)
            .bind(position as i64)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}
