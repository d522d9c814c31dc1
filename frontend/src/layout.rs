//! Where the tiles of a dashboard stand. Pure.

use muster_contract::dashboard::Tile;

/// How many columns the grid has.
pub const COLUMNS: u16 = 12;

/// The largest row and size that the API takes.
const LAST_ROW: u16 = 100;
const MOST_ROWS: u16 = 12;

/// What a person does to a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrange {
    /// One column to the left.
    Left,
    /// One column to the right.
    Right,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One column wider.
    Wider,
    /// One column narrower.
    Narrower,
    /// One row taller.
    Taller,
    /// One row shorter.
    Shorter,
}

/// Changes one tile and moves the others out of its way.
pub fn arrange(tiles: &mut [Tile], index: usize, how: Arrange) {
    let Some(tile) = tiles.get_mut(index) else { return };
    match how {
        Arrange::Left => tile.x = tile.x.saturating_sub(1),
        Arrange::Right => tile.x += 1,
        Arrange::Up => tile.y = tile.y.saturating_sub(1),
        Arrange::Down => tile.y += 1,
        Arrange::Wider => tile.width += 1,
        Arrange::Narrower => tile.width = tile.width.saturating_sub(1),
        Arrange::Taller => tile.height += 1,
        Arrange::Shorter => tile.height = tile.height.saturating_sub(1),
    }
    keep_inside(tile);
    settle(tiles, index);
}

/// Puts a tile of this size into the first free place from the top.
pub fn place_new(tiles: &[Tile], tile: &mut Tile) {
    keep_inside(tile);
    for y in 0..=LAST_ROW {
        for x in 0..=COLUMNS - tile.width {
            (tile.x, tile.y) = (x, y);
            if !tiles.iter().any(|other| overlap(other, tile)) {
                return;
            }
        }
    }
}

/// Moves overlapping tiles down until none overlaps; the one at `fixed` stays where it is.
fn settle(tiles: &mut [Tile], fixed: usize) {
    let mut order: Vec<usize> = (0..tiles.len()).filter(|index| *index != fixed).collect();
    order.sort_by_key(|index| (tiles[*index].y, tiles[*index].x));
    let mut settled = vec![fixed];
    for index in order {
        while let Some(blocking) = settled.iter().find(|other| overlap(&tiles[**other], &tiles[index])) {
            let below = tiles[*blocking].y + tiles[*blocking].height;
            if below > LAST_ROW {
                break;
            }
            tiles[index].y = below;
        }
        settled.push(index);
    }
}

fn keep_inside(tile: &mut Tile) {
    tile.width = tile.width.clamp(1, COLUMNS);
    tile.height = tile.height.clamp(1, MOST_ROWS);
    tile.x = tile.x.min(COLUMNS - tile.width);
    tile.y = tile.y.min(LAST_ROW);
}

fn overlap(one: &Tile, other: &Tile) -> bool {
    let apart = one.x + one.width <= other.x
        || other.x + other.width <= one.x
        || one.y + one.height <= other.y
        || other.y + other.height <= one.y;
    !apart
}

/// A tile's place as the four values of CSS `grid-area`.
pub fn grid_area(tile: &Tile) -> String {
    let (x, y) = (tile.x.min(COLUMNS - 1), tile.y);
    format!("{} / {} / span {} / span {}", y + 1, x + 1, tile.height.max(1), tile.width.clamp(1, COLUMNS - x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_contract::dashboard::TileConfiguration;

    fn tile(x: u16, y: u16, width: u16, height: u16) -> Tile {
        Tile {
            id: String::new(),
            display_name: String::new(),
            configuration: TileConfiguration::DeviceCount { template: None },
            x,
            y,
            width,
            height,
        }
    }

    fn places(tiles: &[Tile]) -> Vec<(u16, u16)> {
        tiles.iter().map(|tile| (tile.x, tile.y)).collect()
    }

    #[test]
    fn what_is_in_the_way_moves_down() {
        let mut tiles = vec![tile(0, 0, 4, 2), tile(4, 0, 4, 2), tile(4, 2, 4, 2)];
        arrange(&mut tiles, 0, Arrange::Wider);
        assert_eq!(tiles[0].width, 5);
        assert_eq!(places(&tiles), [(0, 0), (4, 2), (4, 4)]);
        for (index, one) in tiles.iter().enumerate() {
            assert!(!tiles[index + 1..].iter().any(|other| overlap(one, other)));
        }
    }

    #[test]
    fn tiles_stay_on_the_grid() {
        let mut tiles = vec![tile(8, 0, 4, 1)];
        for how in [Arrange::Right, Arrange::Up, Arrange::Shorter] {
            arrange(&mut tiles, 0, how);
        }
        assert_eq!((tiles[0].x, tiles[0].y, tiles[0].height), (8, 0, 1));
        arrange(&mut tiles, 5, Arrange::Left);
    }

    #[test]
    fn a_new_tile_takes_the_first_free_place() {
        let tiles = [tile(0, 0, 8, 2)];
        let mut small = tile(0, 0, 4, 2);
        place_new(&tiles, &mut small);
        assert_eq!((small.x, small.y), (8, 0));
        let mut large = tile(0, 0, 6, 3);
        place_new(&tiles, &mut large);
        assert_eq!((large.x, large.y), (0, 2));
    }

    #[test]
    fn the_place_reads_as_css() {
        assert_eq!(grid_area(&tile(8, 2, 4, 3)), "3 / 9 / span 3 / span 4");
        assert_eq!(grid_area(&tile(90, 0, 4, 0)), "1 / 12 / span 1 / span 1");
    }
}
