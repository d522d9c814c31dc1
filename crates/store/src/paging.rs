//! Keyset pagination: a page starts after the last key of the one before it.

/// No page is longer, whatever is asked for.
pub const MAX_PAGE: u32 = 1000;

/// Which page is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Paging<K> {
    /// The last key of the page before; `None` for the first page.
    pub after: Option<K>,
    /// At most so many items, 1 to [`MAX_PAGE`].
    pub limit: u32,
}

impl<K> Paging<K> {
    /// The first page.
    pub fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }

    /// The page after `key`.
    pub fn after(key: K, limit: u32) -> Self {
        Self { after: Some(key), limit }
    }

    pub(crate) fn size(&self) -> u64 {
        u64::from(self.limit.clamp(1, MAX_PAGE))
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Are there more after the last one?
    pub more: bool,
}

impl<T> Page<T> {
    /// Makes a page from one row more than was asked for.
    pub(crate) fn from_rows(mut rows: Vec<T>, size: u64) -> Self {
        let more = rows.len() as u64 > size;
        rows.truncate(size as usize);
        Self { items: rows, more }
    }

    /// The page with every item converted.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), more: self.more }
    }

    pub(crate) fn try_map<U, E>(self, convert: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        Ok(Page { items: self.items.into_iter().map(convert).collect::<Result<_, _>>()?, more: self.more })
    }
}
