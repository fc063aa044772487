//! Reads `cache { size = 64MiB ... }` in a node.

use crate::base::{ByteSize, Spanned};
use crate::recipe::machine::memory::{Associativity, MemoryCache, WritePolicy};
use crate::recipe::reader::Reader;
use crate::recipe::value::EvaluatedNode;

/// Bytes of a line when nothing is said: those of x86 and arm64 CPUs.
const LINE: u64 = 64;

/// Every cache of a node, in the order of their levels.
pub(super) fn caches(reader: &mut Reader<'_>) -> Vec<MemoryCache> {
    let blocks = reader.blocks("cache");
    blocks.into_iter().filter_map(|block| cache(block, reader)).collect()
}

fn cache(node: &EvaluatedNode, outer: &Reader<'_>) -> Option<MemoryCache> {
    let mut reader = Reader::new(node, outer.report());
    let size = reader.required::<ByteSize>("size").map(|size| size.map(|size| size.0));
    let word = reader.word("associativity", &Associativity::ALL.map(Associativity::name));
    let associativity = word.and_then(|word| Associativity::ALL.into_iter().find(|one| one.name() == word.value));
    let word = reader.word("policy", &WritePolicy::ALL.map(WritePolicy::name));
    let policy = word.and_then(|word| WritePolicy::ALL.into_iter().find(|one| one.name() == word.value));
    let line = reader.optional::<ByteSize>("line").map(|line| line.map(|line| line.0));
    reader.finish();
    Some(MemoryCache {
        size: size?,
        associativity: associativity.unwrap_or_default(),
        policy: policy.unwrap_or_default(),
        line: line.unwrap_or(Spanned::new(LINE, node.head())),
        span: node.head(),
    })
}
