//! Columns from tabs, as Go's `text/tabwriter` lays them out: a column is a run of neighbouring lines that have a cell there,
//! and each run has its own width. The text behind the last tab of a line belongs to no column.

/// How wide columns are.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Narrowest column, padding included.
    pub min_width: usize,
    /// Blanks after the longest cell.
    pub padding: usize,
}

impl Layout {
    /// Lists of objects.
    pub const LIST: Self = Self { min_width: 10, padding: 3 };
    /// `top`.
    pub const TOP: Self = Self { min_width: 20, padding: 3 };
    /// `version`.
    pub const VERSION: Self = Self { min_width: 20, padding: 1 };
}

/// The text with its tabs turned into blanks. Ends as `text` ends.
pub fn align(text: &str, layout: Layout) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut line = 0;
        while line < lines.len() {
            let run = widths[line..].iter().take_while(|cells| cells.len() > column).count();
            let cells = lines[line..line + run].iter().map(|cells| crate::width::of(cells[column]));
            let width = (cells.max().unwrap_or(0) + layout.padding).max(layout.min_width);
            widths[line..line + run].iter_mut().for_each(|cells| cells[column] = width);
            line += run.max(1);
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (index, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if index > 0 {
            out.push('\n');
        }
        for (column, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(column) {
                let fill = width.saturating_sub(crate::width::of(cell));
                out.extend(std::iter::repeat_n(' ', fill));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_aligned_as_docker_aligns_it() {
        let text = "CONTAINER ID\tIMAGE\tCOMMAND\tNAMES\n0123456789ab\tbusybox:latest\t\"sh\"\tweb\n";
        assert_eq!(
            align(text, Layout::LIST),
            "CONTAINER ID   IMAGE            COMMAND   NAMES\n0123456789ab   busybox:latest   \"sh\"      web\n"
        );
        assert_eq!(align("IMAGE\tNAMES\n", Layout::LIST), "IMAGE     NAMES\n");
    }

    #[test]
    fn a_column_ends_where_a_line_has_no_cell() {
        let text = "a\tb\tc\nshort\n a-long-first-cell\tx\n";
        assert_eq!(align(text, Layout { min_width: 0, padding: 1 }), "a b c\nshort\n a-long-first-cell x\n");
    }

    #[test]
    fn wide_characters_count_twice() {
        let text = "나루\tx\nabcd\ty";
        assert_eq!(align(text, Layout { min_width: 0, padding: 1 }), "나루 x\nabcd y");
    }
}
