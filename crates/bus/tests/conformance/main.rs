//! The contract of the bus, tested on each backend.
//!
//! RabbitMQ is tested where `MUSTER_TEST_RABBITMQ` gives its URL, outages where a RabbitMQ is installed to be started
//! and killed; without them the tests are named as skipped, and fail in CI.

#![expect(clippy::expect_used, reason = "a test stops where something is not as it says")]

mod cases;
mod outage;
mod tls;
mod world;

/// Makes a test of each case for each backend.
macro_rules! suite {
    ($($case:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::world::World::embedded().run(super::cases::$case).await;
            })+
        }
        mod rabbit {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(world) = super::world::World::rabbit(stringify!($case)) {
                    world.run(super::cases::$case).await;
                }
            })+
        }
    };
}

suite!(
    a_batch_is_safe_when_send_resolves,
    an_unacknowledged_batch_comes_again_in_order,
    a_batch_given_back_comes_again_before_newer_ones,
    one_consumer_is_active_and_the_next_takes_over,
    waiting_may_be_given_up_at_any_time,
    order_is_kept_within_a_partition,
    unconfirmed_bytes_are_bounded,
    closing_drains,
    stopping_fails_what_is_unconfirmed,
    fan_outs_reach_every_subscriber,
    pushes_reach_their_instance,
    a_large_body_is_carried,
    wrong_use_is_refused,
);
