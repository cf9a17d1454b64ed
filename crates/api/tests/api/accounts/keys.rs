//! Merchants' keys.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::people;
use crate::stage::{Stage, order_body};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_its_scopes_say_for_its_merchant_until_it_is_revoked() {
    let stage = Stage::new().await;
    let (shop, login) = people::merchant(&stage, "shop@example.org").await;
    let (_, rival) = people::merchant(&stage, "rival@example.org").await;
    let make = json!({"name": "backend", "scopes": ["orders:read", "orders:write"]});
    let made = stage.post("/v1/account/keys", &login.access(), &make).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let key = made.body["secret"].as_str().unwrap().to_owned();
    assert!(key.starts_with("ph_live_") && key.len() > 50, "{key}");

    let placed = stage.post("/v1/orders", &key, &order_body()).await;
    assert_eq!((placed.status, &placed.body["merchant_id"]), (StatusCode::CREATED, &shop["party"]), "{placed:?}");
    let order = format!("/v1/orders/{}", placed.body["id"].as_str().unwrap());
    assert_eq!(stage.get(&order, &key).await.status, StatusCode::OK);
    for (path, why) in [("/v1/zones", "zones:read"), ("/v1/account", "sign in"), ("/v1/drivers", "merchant")] {
        let refused = stage.get(path, &key).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"), "{path}");
        assert!(refused.body["detail"].as_str().unwrap().contains(why), "{refused:?}");
    }
    let socket = stage.get("/v1/ws/merchant", &key).await;
    assert_eq!(socket.code(), "forbidden", "sockets are for those who sign in");

    let make = json!({"name": "theirs", "scopes": ["orders:read"]});
    let theirs = stage.post("/v1/account/keys", &rival.access(), &make).await;
    let their_key = theirs.body["secret"].as_str().unwrap();
    assert_eq!(stage.get(&order, their_key).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.post("/v1/orders", their_key, &order_body()).await.status, StatusCode::FORBIDDEN);

    let listed = stage.get("/v1/account/keys", &login.access()).await;
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert!(items[0]["last_used_at"].is_string() && !listed.body.to_string().contains(&key));
    let path = format!("/v1/account/keys/{}", items[0]["id"].as_str().unwrap());
    let refused = stage.call(Method::DELETE, &path, Some(&rival.access()), None).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.get(&order, &key).await.status, StatusCode::OK);
    let revoked = stage.call(Method::DELETE, &path, Some(&login.access()), None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    let refused = stage.get(&order, &key).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    let stored: Vec<String> = sqlx::query_scalar("SELECT to_jsonb(api_keys)::text FROM api_keys")
        .fetch_all(stage.database.pool.connections())
        .await
        .unwrap();
    assert!(stored.iter().all(|row| !row.contains(&key[8..])), "the secret is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_key_is_named_and_test_keys_are_refused_honestly() {
    let stage = Stage::new().await;
    let (_, login) = people::merchant(&stage, "shop@example.org").await;
    let make = json!({"name": " ", "scopes": ["orders:read", "orders:read", "everything"]});
    let refused = stage.post("/v1/account/keys", &login.access(), &make).await;
    assert_eq!(refused.fields(), ["name", "scopes[1]", "scopes[2]"]);
    let make = json!({"name": "try", "scopes": ["orders:read"], "world": "test"});
    let refused = stage.post("/v1/account/keys", &login.access(), &make).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "conflict"));
    for key in ["ph_live_", "ph_test_x", "ph_live_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(stage.get("/v1/orders", key).await.code(), "unauthenticated");
    }
}
