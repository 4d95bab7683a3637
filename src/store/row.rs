//! Reading columns back into types. What cannot be read is an error that names the column.

use jiff::Timestamp;
use uuid::Uuid;

use super::Error;
pub(super) use super::database::Row;
use super::words::Word;

/// Times are stored in milliseconds; what is finer is cut off.
pub(super) fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

pub(super) trait Columns {
    fn text_or_null(&self, column: &'static str) -> Result<Option<String>, Error>;
    fn number_or_null(&self, column: &'static str) -> Result<Option<i64>, Error>;
    fn bytes_or_null(&self, column: &'static str) -> Result<Option<Vec<u8>>, Error>;

    fn text(&self, column: &'static str) -> Result<String, Error> {
        self.text_or_null(column)?.ok_or(Error::Unreadable(column))
    }

    fn number(&self, column: &'static str) -> Result<i64, Error> {
        self.number_or_null(column)?.ok_or(Error::Unreadable(column))
    }

    fn bytes(&self, column: &'static str) -> Result<Vec<u8>, Error> {
        self.bytes_or_null(column)?.ok_or(Error::Unreadable(column))
    }

    fn time_or_null(&self, column: &'static str) -> Result<Option<Timestamp>, Error> {
        let millis = self.number_or_null(column)?;
        millis
            .map(|millis| Timestamp::from_millisecond(millis).map_err(|_| Error::Unreadable(column)))
            .transpose()
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, Error> {
        self.time_or_null(column)?.ok_or(Error::Unreadable(column))
    }

    fn flag(&self, column: &'static str) -> Result<bool, Error> {
        Ok(self.number(column)? != 0)
    }

    fn uuid(&self, column: &'static str) -> Result<Uuid, Error> {
        Uuid::parse_str(&self.text(column)?).map_err(|_| Error::Unreadable(column))
    }

    fn word<T: Word>(&self, column: &'static str) -> Result<T, Error> {
        T::from_word(&self.text(column)?).ok_or(Error::Unreadable(column))
    }

    fn word_or_null<T: Word>(&self, column: &'static str) -> Result<Option<T>, Error> {
        match self.text_or_null(column)? {
            Some(word) => T::from_word(&word).map(Some).ok_or(Error::Unreadable(column)),
            None => Ok(None),
        }
    }
}

impl Columns for Row {
    fn text_or_null(&self, column: &'static str) -> Result<Option<String>, Error> {
        self.get_text(column)
    }

    fn number_or_null(&self, column: &'static str) -> Result<Option<i64>, Error> {
        self.get_number(column)
    }

    fn bytes_or_null(&self, column: &'static str) -> Result<Option<Vec<u8>>, Error> {
        self.get_bytes(column)
    }
}
