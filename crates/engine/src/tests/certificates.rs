//! The private authority and the server's certificate.

use super::*;
use crate::certificates::hub_tls;

#[tokio::test]
async fn instances_share_one_authority_and_renew_in_time() {
    let home = Home::new().await;
    let neighbour = home.neighbour().await;
    let (one, two) = tokio::join!(hub_tls(&home.engine), hub_tls(&neighbour));
    let (one, two) = (one.expect("certificates"), two.expect("certificates"));
    assert_eq!(one.ca_pem, two.ca_pem, "the first one stands");
    assert_eq!(one.chain_pem, two.chain_pem);
    assert!(!format!("{one:?}").contains("PRIVATE"));
    let again = hub_tls(&home.engine).await.expect("certificates");
    assert_eq!(again.chain_pem, one.chain_pem, "nothing is made twice");
    let renew_at = one.renew_at.expect("a time");
    home.advance(renew_at - home.engine.clock().now() + Duration::hours(1));
    let renewed = hub_tls(&home.engine).await.expect("certificates");
    assert_eq!(renewed.ca_pem, one.ca_pem, "devices go on trusting it");
    assert_ne!(renewed.chain_pem, one.chain_pem);
    assert!(renewed.renew_at.is_some_and(|at| at > renew_at));
    home.end().await;
}
