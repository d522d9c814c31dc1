//! What the store promises, on both databases.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod c2d;
mod configurations;
mod devices;
mod events;
mod files;
mod harness;
mod identity;
mod ingest;
mod isolation;
mod jobs;
mod operations;
mod schema;
mod source;
mod telemetry;

/// Makes each function a test on SQLite and a test on PostgreSQL.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $test() {
                crate::harness::on_sqlite(super::$test).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $test() {
                crate::harness::on_postgres(concat!(module_path!(), "::", stringify!($test)), super::$test).await;
            })*
        }
    };
}
use on_both;
