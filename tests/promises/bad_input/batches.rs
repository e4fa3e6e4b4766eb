//! A batch as a whole: none and too many entries.

use wavekv_client::Code::InvalidArgument;
use wavekv_client::wire;

use super::{SHAPE, Victim, assert_refused};

#[tokio::test]
async fn a_batch_of_none_or_too_many_is_refused_whole() {
    let victim = Victim::new(SHAPE).await;
    let client = &victim.client;
    for entries in [0, 1025] {
        let named = format!("the length of entries is {entries}");
        let insert = client.insert(vec![victim.appended(); entries]).await;
        assert_refused(insert, InvalidArgument, &named);
        let attend = vec![wire::AttendEntry::default(); entries];
        assert_refused(client.attend(attend).await, InvalidArgument, &named);
        let top = vec![wire::TopClustersEntry::default(); entries];
        assert_refused(client.top_clusters(top).await, InvalidArgument, &named);
        let estimate = vec![wire::EstimateEntry::default(); entries];
        assert_refused(client.estimate(estimate).await, InvalidArgument, &named);
        let fetch = vec![wire::FetchEntry::default(); entries];
        assert_refused(client.fetch(fetch).await, InvalidArgument, &named);
        let layers = client
            .segment_cluster(vec![victim.collection.layer(); entries])
            .await;
        let named = format!("the length of layers is {entries}");
        assert_refused(layers, InvalidArgument, &named);
    }
    victim.is_unharmed().await;
}
