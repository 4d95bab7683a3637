//! Two databases behind one face: SQLite, which is a file, and PostgreSQL, which is a server.
//!
//! The rest of the store writes one SQL text with `$1` parameters and never asks which it is. What
//! differs is here and in [`schema`](super::schema): how a transaction begins, and how parameters
//! and columns travel. Numbers are 64-bit integers and flags are 0 or 1 on both.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Row as _, Sqlite, SqliteConnection, SqlitePool};

use super::Error;

/// Connections to the database; clones share them.
#[derive(Clone)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// A transaction that has the right to write from its first statement on: none fails half-way
    /// because somebody else wrote in between. SQLite has one writer anyway; PostgreSQL is told to
    /// let one of ours at a time in, because some rules (a PIN that nobody has) span many rows.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => Ok(Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?)),
            Self::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(ONE_WRITER)
                    .execute(&mut *transaction)
                    .await?;
                Ok(Transaction::Postgres(transaction))
            }
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Any number, the same in every Doorline: "door".
const ONE_WRITER: i64 = 0x646f_6f72;

/// Rolled back when it is dropped without a commit.
pub(super) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }

    /// One statement whose fault must not take the others with it. In SQLite a row that breaks a
    /// constraint fails alone; in PostgreSQL it ends the transaction, unless there is a savepoint.
    pub async fn execute_alone(&mut self, query: Query) -> Result<Done, sqlx::Error> {
        match self {
            Self::Sqlite(_) => query.execute(self).await,
            Self::Postgres(transaction) => {
                let mut nested = sqlx::Acquire::begin(&mut **transaction).await?;
                let done = query.postgres().execute(&mut *nested).await?.rows_affected();
                nested.commit().await?;
                Ok(Done(done))
            }
        }
    }
}

/// What a statement runs on.
pub(super) enum Target<'a> {
    SqlitePool(&'a SqlitePool),
    PostgresPool(&'a PgPool),
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl<'a> From<&'a Pool> for Target<'a> {
    fn from(pool: &'a Pool) -> Self {
        match pool {
            Pool::Sqlite(pool) => Self::SqlitePool(pool),
            Pool::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

impl<'a> From<&'a mut Transaction> for Target<'a> {
    fn from(transaction: &'a mut Transaction) -> Self {
        match transaction {
            Transaction::Sqlite(transaction) => Self::Sqlite(transaction),
            Transaction::Postgres(transaction) => Self::Postgres(transaction),
        }
    }
}

/// A parameter. Its kind is known even when there is no value: PostgreSQL wants the type of a null.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

/// One statement with its parameters.
pub(super) struct Query {
    sql: String,
    values: Vec<Value>,
}

/// How many rows a statement touched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Done(u64);

impl Done {
    pub fn rows_affected(self) -> u64 {
        self.0
    }
}

/// A statement. Only literals make SQL: what comes from outside is bound.
pub(super) fn query(sql: &'static str) -> Query {
    Query { sql: sql.to_owned(), values: Vec::new() }
}

/// Runs a query on whatever it runs on.
macro_rules! run {
    ($query:expr, $target:expr, $method:ident) => {
        match $target.into() {
            Target::SqlitePool(pool) => Ok($query.sqlite().$method(pool).await?.into()),
            Target::Sqlite(connection) => Ok($query.sqlite().$method(connection).await?.into()),
            Target::PostgresPool(pool) => Ok($query.postgres().$method(pool).await?.into()),
            Target::Postgres(connection) => Ok($query.postgres().$method(connection).await?.into()),
        }
    };
}

impl Query {
    /// The next parameter: `$1`, `$2` and so on.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// More SQL, for statements that are put together.
    pub fn push(mut self, sql: &'static str) -> Self {
        self.sql.push_str(sql);
        self
    }

    /// A parameter in the place where the SQL is now.
    pub fn push_bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self.sql.push_str(&format!("${}", self.values.len()));
        self
    }

    /// A list in parentheses, for `IN`; nothing is in an empty one.
    pub fn push_list(mut self, values: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        self.sql.push('(');
        let mut empty = true;
        for value in values {
            if !empty {
                self.sql.push(',');
            }
            self = self.push_bind(value);
            empty = false;
        }
        self.sql.push_str(if empty { "NULL)" } else { ")" });
        self
    }

    pub async fn execute<'a>(self, on: impl Into<Target<'a>>) -> Result<Done, sqlx::Error> {
        run!(self, on, execute)
    }

    pub async fn fetch_optional<'a>(self, on: impl Into<Target<'a>>) -> Result<Option<Row>, sqlx::Error> {
        let row: Result<Found, sqlx::Error> = run!(self, on, fetch_optional);
        row.map(|Found(row)| row)
    }

    pub async fn fetch_all<'a>(self, on: impl Into<Target<'a>>) -> Result<Vec<Row>, sqlx::Error> {
        let rows: Result<Rows, sqlx::Error> = run!(self, on, fetch_all);
        rows.map(|Rows(rows)| rows)
    }

    fn sqlite(self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        let query = sqlx::query(AssertSqlSafe(self.sql));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    }

    fn postgres(self) -> sqlx::query::Query<'static, Postgres, PgArguments> {
        let query = sqlx::query(AssertSqlSafe(self.sql));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    }
}

impl From<sqlx::sqlite::SqliteQueryResult> for Done {
    fn from(done: sqlx::sqlite::SqliteQueryResult) -> Self {
        Self(done.rows_affected())
    }
}

impl From<sqlx::postgres::PgQueryResult> for Done {
    fn from(done: sqlx::postgres::PgQueryResult) -> Self {
        Self(done.rows_affected())
    }
}

struct Found(Option<Row>);
struct Rows(Vec<Row>);

macro_rules! rows_of {
    ($row:ty, $variant:ident) => {
        impl From<Option<$row>> for Found {
            fn from(row: Option<$row>) -> Self {
                Self(row.map(Row::$variant))
            }
        }

        impl From<Vec<$row>> for Rows {
            fn from(rows: Vec<$row>) -> Self {
                Self(rows.into_iter().map(Row::$variant).collect())
            }
        }
    };
}

rows_of!(SqliteRow, Sqlite);
rows_of!(PgRow, Postgres);

macro_rules! value_from {
    ($($type:ty => $variant:ident($value:ident) $conversion:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                Self::$variant($conversion)
            }
        })*
    };
}

value_from! {
    String => Text(text) Some(text);
    &String => Text(text) Some(text.clone());
    &str => Text(text) Some(text.to_owned());
    Option<String> => Text(text) text;
    Option<&String> => Text(text) text.cloned();
    Option<&str> => Text(text) text.map(str::to_owned);
    i64 => Number(number) Some(number);
    u32 => Number(number) Some(i64::from(number));
    bool => Number(flag) Some(i64::from(flag));
    Option<i64> => Number(number) number;
    Vec<u8> => Bytes(bytes) Some(bytes);
    Option<Vec<u8>> => Bytes(bytes) bytes;
}

/// One row; see [`Columns`](super::row::Columns) for what is read of it.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! column {
    ($name:ident, $type:ty) => {
        /// The column of that name.
        pub fn $name(&self, column: &'static str) -> Result<$type, Error> {
            Ok(match self {
                Self::Sqlite(row) => row.try_get(column)?,
                Self::Postgres(row) => row.try_get(column)?,
            })
        }
    };
}

impl Row {
    column!(get_text, Option<String>);
    column!(get_number, Option<i64>);
    column!(get_bytes, Option<Vec<u8>>);
}
