//! The first page of a Linux swap file (`union swap_header`, `include/linux/swap.h`).
//!
//! Input: the size of the file and its identity. Output: the page; nothing else of the file is ever read before it was
//! written.

/// Bytes of a page on every architecture that kiln builds for.
pub const PAGE: usize = 4096;
/// Where the header begins, after room for a boot loader.
const HEADER: usize = 1024;
const MAGIC: &[u8] = b"SWAPSPACE2";

/// The first page of a swap file of so many bytes.
pub fn first_page(bytes: u64, uuid: [u8; 16]) -> Vec<u8> {
    let pages = u32::try_from(bytes / PAGE as u64).expect("a swap file has fewer than 2^32 pages");
    let mut page = vec![0; PAGE];
    // Version, last page, bad pages.
    for (at, number) in [1, pages - 1, 0].into_iter().enumerate() {
        page[HEADER + 4 * at..][..4].copy_from_slice(&number.to_le_bytes());
    }
    page[HEADER + 12..][..16].copy_from_slice(&uuid);
    page[PAGE - MAGIC.len()..].copy_from_slice(MAGIC);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_how_many_there_are() {
        let page = first_page(1 << 20, [7; 16]);
        assert_eq!((page.len(), &page[1024..1036]), (4096, [1, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0].as_slice()));
        assert_eq!((&page[1036..1052], &page[4086..]), ([7; 16].as_slice(), MAGIC));
        assert_eq!(page.iter().filter(|byte| **byte != 0).count(), 2 + 16 + 10);
    }
}
