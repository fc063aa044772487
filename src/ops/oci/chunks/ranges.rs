//! Which ranges of an image are fetched for which of its clusters.

use std::collections::BTreeSet;

use crate::format::qcow2::StoredCluster;

/// Bytes between two clusters that are fetched as well, since another request costs more.
const MAX_GAP: u64 = 4 << 10;
/// Bytes of the largest range: it is held in memory.
const MAX_RANGE: u64 = 4 << 20;

/// A range of an image, and the clusters in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FetchRange {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) clusters: Vec<StoredCluster>,
}

/// The ranges with these clusters, in the order of the image.
pub(super) fn ranges(clusters: &[StoredCluster], wanted: &BTreeSet<u64>) -> Vec<FetchRange> {
    let mut found: Vec<StoredCluster> =
        clusters.iter().filter(|cluster| wanted.contains(&cluster.number)).copied().collect();
    found.sort_by_key(|cluster| (cluster.offset, cluster.number));
    let mut ranges: Vec<FetchRange> = Vec::new();
    for cluster in found {
        let end = cluster.offset + cluster.length;
        match ranges.last_mut() {
            Some(range)
                if cluster.offset <= range.offset + range.length + MAX_GAP && end - range.offset <= MAX_RANGE =>
            {
                range.length = range.length.max(end - range.offset);
                range.clusters.push(cluster);
            }
            _ => ranges.push(FetchRange { offset: cluster.offset, length: cluster.length, clusters: vec![cluster] }),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_fetched_at_once_and_others_by_themselves() {
        let cluster = |number: u64, offset: u64| StoredCluster { number, offset, length: 512, compressed: true };
        // Two frames share a sector, one is a little behind, one far behind, and one is not wanted.
        let all = [cluster(1, 1000), cluster(2, 1500), cluster(3, 3000), cluster(4, 3600), cluster(9, 1 << 20)];
        let got = ranges(&all, &[1, 2, 4, 9].into());
        let shown: Vec<(u64, u64, usize)> =
            got.iter().map(|range| (range.offset, range.length, range.clusters.len())).collect();
        assert_eq!(shown, [(1000, 3112, 3), (1 << 20, 512, 1)]);
        let long: Vec<StoredCluster> = (0..20_000).map(|at| cluster(at, at * 512)).collect();
        let got = ranges(&long, &(0..20_000).collect());
        assert!(got.iter().all(|range| range.length <= MAX_RANGE) && got.len() == 3, "{}", got.len());
    }
}
