//! The inspector: the page that the daemon serves and the JSON that it asks for, seen as a browser sees them. What a browser
//! makes of it is for `tests/inspector.sh`.

use serde_json::Value;
use wavekv_client::{Code, wire};

use crate::harness::collection::SMALL_INDEX;
use crate::harness::http::{get, get_json};
use crate::harness::mode;
use crate::harness::{Collection, Daemon, Sequence, Shape};

const HTTP: &str = "http.listen=127.0.0.1:0";
const TOKENS: usize = 400;

/// A collection of some tokens, all clustered that will be.
async fn filled(daemon: &Daemon, shape: Shape) -> (Collection, Sequence) {
    let collection = Collection::create(&daemon.client().await, shape).await;
    let sequence = Sequence::random(shape, TOKENS, 1);
    collection.insert(&sequence, 0..TOKENS).await;
    collection.settle().await;
    (collection, sequence)
}

async fn asked(address: &str, what: &str) -> Value {
    let (status, found) = get_json(address, &format!("/inspector/api/{what}")).await;
    assert_eq!(status, 200, "{what}: {found}");
    found
}

fn of(collection: &Collection) -> String {
    format!("namespace=default&name={}", collection.name.name)
}

fn numbers(of: &Value) -> Vec<f64> {
    let all = of.as_array().unwrap().iter();
    all.map(|number| number.as_f64().unwrap()).collect()
}

#[tokio::test]
async fn the_page_is_whole_and_asks_nobody_else() {
    let daemon = Daemon::with(&[HTTP]);
    let address = daemon.http_address().await;
    for path in ["/", "/inspector"] {
        let answer = get(&address, path).await;
        assert_eq!(answer.status, 307, "{path}");
        assert!(answer.head.contains("location: /inspector/"), "{answer:?}");
    }
    let page = get(&address, "/inspector/").await;
    assert_eq!(page.status, 200);
    let mut files = vec![];
    let mut texts = vec![page.body.clone()];
    // Every file that the page or a script of it names, and every file that those name.
    while let Some(text) = texts.pop() {
        let named = text.split(['"', '\'']).filter(|word| {
            let ending = word.rsplit_once('.').map(|(_, ending)| ending);
            !word.contains([' ', '\n']) && matches!(ending, Some("js" | "css" | "svg"))
        });
        for name in named.map(|name| name.trim_start_matches("./").to_owned()) {
            if files.contains(&name) {
                continue;
            }
            let file = get(&address, &format!("/inspector/{name}")).await;
            assert_eq!(file.status, 200, "{name}");
            let policy = "content-security-policy: default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";
            for header in [
                policy,
                "x-content-type-options: nosniff",
                "referrer-policy: no-referrer",
                "cross-origin-resource-policy: same-origin",
            ] {
                assert!(
                    file.head.contains(header),
                    "{name}: {header}: {}",
                    file.head
                );
            }
            let elsewhere = file.body.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("://"), "{name} names another place");
            files.push(name);
            texts.push(file.body);
        }
    }
    assert!(files.len() >= 12, "{files:?}");
    assert!(
        page.head.contains("content-type: text/html"),
        "{}",
        page.head
    );
    assert!(
        page.head
            .contains("content-security-policy: default-src 'self'; ")
    );
    for inline in ["<style", "style=", "onclick", "javascript:"] {
        assert!(!page.body.contains(inline), "the policy forbids {inline}");
    }
    assert_eq!(get(&address, "/inspector/nothing.js").await.status, 404);
}

#[tokio::test]
async fn a_filled_collection_is_told_as_the_client_is_told() {
    let daemon = Daemon::with(&[HTTP]);
    let address = daemon.http_address().await;
    let (collection, _) = filled(&daemon, Shape::default()).await;
    let client = &collection.client;
    let all = client.stats(None).await.unwrap();
    let own = client.stats(Some(collection.name.clone())).await.unwrap();

    let overview = asked(&address, "overview").await;
    assert_eq!(overview["version"], all.version);
    assert_eq!(overview["isa"], all.isa);
    let sizes = &overview["sizes"];
    let index = all.index.unwrap();
    assert_eq!(sizes["collections"], 1);
    assert_eq!(sizes["index"]["tokens"], index.tokens);
    assert_eq!(sizes["index"]["clusters"], index.clusters);
    assert_eq!(
        sizes["memory"]["budget_bytes"],
        all.memory.unwrap().budget_bytes
    );
    assert_eq!(sizes["disk"]["used_bytes"], all.disk.unwrap().used_bytes);
    assert_eq!(sizes["disk"]["budget_bytes"], Value::Null);

    let listed = asked(&address, "collections").await;
    let row = &listed["collections"][0];
    assert_eq!(row["name"], collection.name.name.as_str());
    assert_eq!(row["namespace"], "default");
    let (tokens, state) = (&row["tokens"], &row["state"]);
    assert_eq!((tokens, state), (&TOKENS.into(), &"ready".into()));
    assert_eq!(listed["next"], Value::Null);

    let found = asked(&address, &format!("collection?{}", of(&collection))).await;
    assert_eq!(found["geometry"]["kv_heads"], 2);
    assert_eq!(found["kind"], "wave");
    let layer = &found["layers"][0];
    let own = own.layers[0].index.unwrap();
    assert_eq!(layer["size"]["clustered_tokens"], own.clustered_tokens);
    assert_eq!(layer["size"]["segments"], own.segments);
    assert_eq!(layer["window"], Value::Null);
    assert!(layer["cluster_tokens"].as_f64().unwrap() > 1.0, "{layer}");
    assert!(
        found["tiers"]["disk_bytes"].as_u64().unwrap() > 0,
        "{found}"
    );
    // Nobody has asked it anything.
    assert_eq!(layer["heads"]["token_share"], Value::Array(vec![]));
    assert_eq!(layer["heads"]["sharpness"], serde_json::json!([null, null]));
}

#[tokio::test]
async fn a_query_shows_in_the_heads_and_in_the_zones_of_the_clusters() {
    let daemon = Daemon::with(&[HTTP]);
    let address = daemon.http_address().await;
    let (collection, sequence) = filled(&daemon, Shape::default()).await;
    let map = |head: u32| {
        let what = format!("clusters?{}&layer=0&head={head}", of(&collection));
        let address = &address;
        async move { asked(address, &what).await }
    };
    let last = [TOKENS as u32 - 1];
    let mode = mode::budget_of_two(0.1, 0.4);
    // Nobody looked: the first is not kept.
    collection.attend(&sequence, &last, mode).await;
    let before = map(0).await;
    assert_eq!(before["query"], Value::Null);
    assert!(
        before["zone"]
            .as_array()
            .unwrap()
            .iter()
            .all(Value::is_null)
    );
    let answer = collection.attend(&sequence, &last, mode).await;
    let report = answer.report.unwrap();

    let mut tokens = std::collections::BTreeMap::new();
    for head in 0..2 {
        let map = map(head).await;
        assert_eq!(
            map["query"],
            serde_json::json!({ "mode": "budget:0.1:0.4", "first": 0, "end": TOKENS })
        );
        let clusters = map["all"].as_u64().unwrap() as usize;
        assert!(clusters > 10, "{map}");
        for column in ["x", "y", "segment", "tokens", "spread", "zone"] {
            assert_eq!(map[column].as_array().unwrap().len(), clusters, "{column}");
        }
        let axes = numbers(&map["axes"]);
        assert!(
            axes[0] >= axes[1] && axes[1] > 0.0 && axes[0] + axes[1] <= 1.001,
            "{axes:?}"
        );
        let segments = map["segments"].as_array().unwrap();
        let of_segments: u64 = segments
            .iter()
            .map(|segment| segment["clusters"].as_u64().unwrap())
            .sum();
        assert_eq!(of_segments as usize, clusters);
        let zones = map["zone"].as_array().unwrap().iter();
        for (zone, count) in zones.zip(numbers(&map["tokens"])) {
            *tokens
                .entry(zone.as_str().unwrap().to_owned())
                .or_insert(0.0) += count;
        }
    }
    let told = |zone: &str| tokens.get(zone).copied().unwrap_or(0.0) as u64;
    assert_eq!(told("retrieval"), report.retrieved_tokens);
    assert_eq!(told("estimation"), report.estimated_tokens);
    assert_eq!(told("ignored"), report.ignored_tokens);
    assert!(told("retrieval") > 0 && told("ignored") > 0, "{tokens:?}");

    let found = asked(&address, &format!("collection?{}", of(&collection))).await;
    let heads = &found["layers"][0]["heads"];
    assert_eq!(heads["answers"], serde_json::json!([2, 2]));
    for figure in ["token_share", "byte_share", "exact_mass", "sharpness"] {
        let of_heads = numbers(&heads[figure]);
        assert_eq!(of_heads.len(), 2);
        assert!(
            of_heads.iter().all(|share| *share > 0.0 && *share <= 1.0),
            "{figure}: {of_heads:?}"
        );
    }
}

#[tokio::test]
async fn a_page_of_collections_leads_to_the_next() {
    let daemon = Daemon::with(&[HTTP]);
    let address = daemon.http_address().await;
    let client = daemon.client().await;
    let mut names = vec![];
    for _ in 0..3 {
        let collection = Collection::create(&client, Shape::default()).await;
        names.push(collection.name.name);
    }
    names.sort();
    let (mut found, mut after) = (vec![], String::new());
    loop {
        let page = asked(&address, &format!("collections?limit=1&after={after}")).await;
        let rows = page["collections"].as_array().unwrap();
        found.extend(
            rows.iter()
                .map(|row| row["name"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = next.replace('|', "%7C"),
            None => break,
        }
    }
    assert_eq!(found, names);
    let one = asked(
        &address,
        &format!("collections?prefix={}&namespace=default", names[1]),
    )
    .await;
    assert_eq!(one["collections"].as_array().unwrap().len(), 1);
    let none = asked(&address, "collections?namespace=another").await;
    assert_eq!(none["collections"], Value::Array(vec![]));
}

/// What is asked, the status of its refusal, and how the sentence of that begins.
fn refusals(own: &str, flat: &str, name: &str) -> Vec<(String, u16, String)> {
    vec![
        (
            "collection?name=%3Cscript%3E".to_owned(),
            400,
            "name is \"<script>\": expected 1 to 128 characters".to_owned(),
        ),
        (
            "collection?namespace=a%20b&name=x".to_owned(),
            400,
            "namespace is \"a b\": ".to_owned(),
        ),
        ("collection".to_owned(), 400, "name is \"\": ".to_owned()),
        (
            "collection?name=nobody".to_owned(),
            404,
            "collection is default/nobody: ".to_owned(),
        ),
        (
            format!("collection?{own}&layer=1"),
            400,
            "a field is \"layer\": expected namespace, name".to_owned(),
        ),
        (
            format!("clusters?{own}&layer=0"),
            400,
            "head is \"\": expected a whole number".to_owned(),
        ),
        (
            format!("clusters?{own}&layer=-1&head=0"),
            400,
            "layer is \"-1\": ".to_owned(),
        ),
        (
            format!("clusters?{own}&layer=7&head=0"),
            404,
            format!("layer is 7: expected 0 to 0 of collection default/{name}"),
        ),
        (
            format!("clusters?{own}&layer=0&head=2"),
            404,
            "head is 2: expected 0 to 1 of collection".to_owned(),
        ),
        (
            format!("clusters?{flat}&layer=0&head=0"),
            409,
            "index.kind of the collection is flat: ".to_owned(),
        ),
        (
            "collections?limit=1001".to_owned(),
            400,
            "limit is 1001: expected 1 to 1000".to_owned(),
        ),
        (
            "collections?after=x".to_owned(),
            400,
            "after is \"x\": ".to_owned(),
        ),
        (
            "overview?x=1".to_owned(),
            400,
            "a field is \"x\": expected none".to_owned(),
        ),
    ]
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_by_name() {
    let daemon = Daemon::with(&[HTTP]);
    let address = daemon.http_address().await;
    let (collection, _) = filled(&daemon, Shape::default()).await;
    let flat =
        Collection::create_as(&collection.client, Shape::default(), wire::IndexKind::Flat).await;
    let (own, flat) = (of(&collection), of(&flat));
    let name = &collection.name.name;
    for (what, status, sentence) in refusals(&own, &flat, name) {
        let (found, said) = get_json(&address, &format!("/inspector/api/{what}")).await;
        assert_eq!(found, status, "{what}: {said}");
        let said = said["error"].as_str().unwrap();
        assert!(said.starts_with(&sentence), "{what}: {said}");
    }
}

#[tokio::test]
async fn what_others_have_named_is_data_and_never_markup() {
    let daemon = Daemon::with(&[HTTP]);
    let address = daemon.http_address().await;
    let client = daemon.client().await;
    let hostile = "</script><img src=x onerror=alert(1)>\"'\\\u{2028}\u{7}";
    let collection = Collection::unmade(&client);
    let request = wire::CreateRequest {
        collection: Some(wire::CollectionRef {
            namespace: "..//:".to_owned(),
            name: "../-_.:/x".to_owned(),
            generation: None,
        }),
        geometry: Some(wire::Geometry {
            fingerprint: hostile.to_owned(),
            ..Shape::default().geometry(1)
        }),
        ..collection.request(Shape::default(), SMALL_INDEX)
    };
    client.create(request.clone()).await.unwrap();
    let path = "/inspector/api/collection?namespace=..%2F%2F%3A&name=..%2F-_.%3A%2Fx";
    let answer = get(&address, path).await;
    assert!(
        answer.head.contains("content-type: application/json"),
        "{answer:?}"
    );
    assert!(
        answer.head.contains("x-content-type-options: nosniff"),
        "{answer:?}"
    );
    let found: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(found["geometry"]["fingerprint"], hostile);
    assert_eq!(found["name"], "../-_.:/x");
    // A name like that is refused before it is anywhere.
    let named = wire::CreateRequest {
        collection: Some(wire::CollectionRef {
            name: "<b>".to_owned(),
            ..Default::default()
        }),
        ..request
    };
    let refused = client.create(named).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::InvalidArgument));
}

#[tokio::test]
async fn there_is_a_page_only_where_the_settings_say_so() {
    for (settings, status) in [
        (&[HTTP, "http.inspector=off"][..], 404),
        (&[HTTP, "http.allow_non_loopback=true"], 404),
        (
            &[HTTP, "http.allow_non_loopback=true", "http.inspector=on"],
            200,
        ),
    ] {
        let daemon = Daemon::with(settings);
        let address = daemon.http_address().await;
        for path in [
            "/inspector/",
            "/inspector/inspector.js",
            "/inspector/api/overview",
        ] {
            let answer = get(&address, path).await;
            assert_eq!(answer.status, status, "{settings:?}: {path}");
        }
        assert_eq!(get(&address, "/livez").await.status, 200);
    }
}
