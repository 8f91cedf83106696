//! Nasty layers from a seed. What both engines must make the same of, or both refuse; where they differ on purpose stands in
//! the table of `main.rs` and is left out here.

use std::collections::{BTreeMap, BTreeSet};

use crate::dialect::{self, Dialect, Item, Sparse};

/// An image of generated layers.
pub struct Image {
    pub layers: Vec<Vec<u8>>,
    /// What each layer was made of, for whoever has to find out.
    pub told: Vec<String>,
    /// Folders whose top-most layer never named them: when they were made, and with which attributes, is left open.
    pub implied: BTreeSet<Vec<u8>>,
}

/// xorshift64*.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}

/// What a layer has at a path so far.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Folder { named: bool },
    Symlink,
    Other,
    Whiteout,
}

struct Generator<'a> {
    random: &'a mut Random,
    /// Names that lower layers have.
    below: BTreeSet<Vec<u8>>,
    here: BTreeMap<Vec<u8>, Shape>,
    opaque: BTreeSet<Vec<u8>>,
    tar: Vec<u8>,
    told: String,
    /// Where entries begin.
    starts: Vec<usize>,
    /// Noise that is there already.
    noise: BTreeSet<usize>,
}

pub fn image(random: &mut Random, layers: usize) -> Image {
    let mut image = Image { layers: Vec::new(), told: Vec::new(), implied: BTreeSet::new() };
    let mut below = BTreeSet::new();
    for number in 0..layers {
        let mut generator = Generator {
            random,
            below: below.clone(),
            here: BTreeMap::new(),
            opaque: BTreeSet::new(),
            tar: Vec::new(),
            told: String::new(),
            starts: Vec::new(),
            noise: BTreeSet::new(),
        };
        // Damage in the top-most layer only: what is refused there hides nothing else.
        generator.layer(number + 1 == layers);
        for (path, shape) in &generator.here {
            match shape {
                Shape::Folder { named: false } => drop(image.implied.insert(path.clone())),
                _ => drop(image.implied.remove(path)),
            }
        }
        below.extend(generator.here.into_keys());
        image.layers.push(generator.tar);
        image.told.push(generator.told);
    }
    image
}

/// A folder of 30 names in a row.
fn deep() -> Vec<u8> {
    [b"deep".as_slice(); 30].join(&b'/')
}

impl Generator<'_> {
    fn layer(&mut self, last: bool) {
        for _ in 0..3 + self.random.below(22) {
            self.entry();
        }
        let damage = last && self.random.chance(45);
        let ended = damage && self.damage();
        match self.random.below(8) {
            _ if ended => {}
            // No end mark at all, half of one, one with padding, one with something behind it.
            0 => {}
            1 => self.tar.resize(self.tar.len() + 512, 0),
            2 => self.tar.resize((self.tar.len() + 1024).next_multiple_of(10240), 0),
            3 => {
                self.tar.resize(self.tar.len() + 1024, 0);
                self.tar.extend_from_slice(b"behind the end");
            }
            _ => self.tar.resize(self.tar.len() + 1024, 0),
        }
    }

    fn entry(&mut self) {
        match self.random.below(100) {
            0..28 => self.plain(b'0'),
            28..46 => self.folder(),
            46..56 => self.symlink(),
            56..66 => self.hard_link(),
            66..71 => {
                let flag = *self.random.pick(b"346");
                self.plain(flag);
            }
            71..83 => self.whiteout(),
            83..87 => self.opaque(),
            87..92 => self.sparse(),
            92..97 => self.through_symlink(),
            _ => self.noise(),
        }
    }

    /// Some path; often one that lower layers or this one have.
    fn path(&mut self) -> Vec<u8> {
        if self.random.chance(30) && !self.below.is_empty() {
            let at = self.random.below(self.below.len());
            return self.below.iter().nth(at).cloned().unwrap_or_default();
        }
        let long = vec![b'n'; 120];
        let deep = deep();
        let folders: [&[u8]; 9] = [b"", b"", b"a", b"a/b", b"a/b/c", b"d e", b"\xff\xfe\x80", &long, &deep];
        let longest = vec![b'l'; 255];
        let names: [&[u8]; 14] = [
            b"f",
            b"g",
            b"h",
            b"a",
            b"b",
            b"c",
            b"d e",
            b"new\nline",
            b"\xe9t\xe9",
            "나루".as_bytes(),
            b"-x",
            b"a\\b",
            b".hidden",
            &longest,
        ];
        let (folder, name) = (*self.random.pick(&folders), *self.random.pick(&names));
        match folder {
            b"" => name.to_vec(),
            folder => [folder, b"/", name].concat(),
        }
    }

    /// Makes the folders above a path; false where something else is in the way.
    fn parents(&mut self, path: &[u8]) -> bool {
        let ends: Vec<usize> = (0..path.len()).filter(|at| path[*at] == b'/').collect();
        let free = |end: &usize| matches!(self.here.get(&path[..*end]), None | Some(Shape::Folder { .. }));
        if !ends.iter().all(free) {
            return false;
        }
        for end in ends {
            self.here.entry(path[..end].to_vec()).or_insert(Shape::Folder { named: false });
        }
        true
    }

    /// An entry had that very path: Docker takes no second one (see the table).
    fn taken(&self, path: &[u8]) -> bool {
        let shape = self.here.get(path);
        matches!(shape, Some(Shape::Folder { named: true } | Shape::Symlink | Shape::Other))
    }

    /// Clears the place of something that is no folder; false where a folder is in the way that must not be replaced.
    fn replaces(&mut self, path: &[u8]) -> bool {
        let inside = |known: &[u8]| known.strip_prefix(path).is_some_and(|rest| rest.first() == Some(&b'/'));
        let named = |(known, shape): (&Vec<u8>, &Shape)| {
            (known == path || inside(known)) && *shape == Shape::Folder { named: true }
        };
        if self.here.iter().any(named) || self.opaque.iter().any(|known| known == path || inside(known)) {
            return false;
        }
        self.here.retain(|known, _| !inside(known));
        true
    }

    fn plain(&mut self, flag: u8) {
        let path = self.path();
        if self.taken(&path) || !self.parents(&path) || !self.replaces(&path) {
            return;
        }
        let mut item = self.item(flag, &path);
        match flag {
            b'0' => {
                let size = *self.random.pick(&[0, 1, 511, 512, 513, 5000, 70_000]);
                item.data = (0..size).map(|at| (at * 7 + size) as u8).collect();
            }
            b'6' => {}
            _ => item.device = (1 + self.random.below(200) as u32, self.random.below(300) as u32),
        }
        self.here.insert(path, Shape::Other);
        self.add(item);
    }

    fn folder(&mut self) {
        let mut path = self.path();
        if self.random.chance(50) {
            // A folder that others are put into.
            path = self.random.pick(&[b"a".to_vec(), b"a/b".to_vec(), b"d e".to_vec(), deep()]).clone();
        }
        if self.taken(&path) || self.here.get(&path) == Some(&Shape::Whiteout) || !self.parents(&path) {
            return;
        }
        let mut item = self.item(b'5', &path);
        item.mode = *self.random.pick(&[0o755, 0o755, 0o700, 0o1777, 0o2775, 0o4755, 0, 0o555]);
        self.here.insert(path, Shape::Folder { named: true });
        self.add(item);
    }

    fn symlink(&mut self) {
        let path = self.path();
        if self.taken(&path) || !self.parents(&path) || !self.replaces(&path) {
            return;
        }
        let mut item = self.item(b'2', &path);
        let long = vec![b't'; 150];
        let targets: [&[u8]; 8] =
            [b"f", b"../a", b"/a/b", b"/../../etc/passwd", b"nowhere/at all", b".", b"\xff", &long];
        item.link = self.random.pick(&targets).to_vec();
        self.here.insert(path, Shape::Symlink);
        self.add(item);
    }

    fn hard_link(&mut self) {
        let files: Vec<Vec<u8>> = self
            .here
            .iter()
            .filter(|(_, shape)| **shape == Shape::Other)
            .map(|(path, _)| path.clone())
            .collect();
        let links: Vec<Vec<u8>> = self
            .here
            .iter()
            .filter(|(_, shape)| **shape == Shape::Symlink)
            .map(|(path, _)| path.clone())
            .collect();
        let among = if links.is_empty() || self.random.chance(80) { files } else { links };
        if among.is_empty() {
            return;
        }
        let target = self.random.pick(&among).clone();
        let path = self.path();
        let inside =
            target.strip_prefix(path.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
        if inside || self.taken(&path) || !self.parents(&path) || !self.replaces(&path) {
            return;
        }
        let shape = self.here[&target];
        let mut item = self.item(b'1', &path);
        item.link = match self.random.below(4) {
            0 => [b"/", target.as_slice()].concat(),
            1 => [b"./", target.as_slice()].concat(),
            _ => target,
        };
        self.here.insert(path, shape);
        self.add(item);
    }

    fn whiteout(&mut self) {
        let path = self.path();
        if self.here.contains_key(&path) || path.len() > 1000 || !self.parents(&path) {
            return;
        }
        let (folder, name) = split(&path);
        if name.len() > 250 {
            return;
        }
        let marker = join(folder, &[b".wh.", name].concat());
        let item = self.item(b'0', &marker);
        self.here.insert(path, Shape::Whiteout);
        self.add(item);
    }

    fn opaque(&mut self) {
        let path = self.path();
        let (folder, _) = split(&path);
        if folder.is_empty() || self.opaque.contains(folder) || !self.parents(&path) {
            return;
        }
        let marker = join(folder, b".wh..wh..opq");
        self.opaque.insert(folder.to_vec());
        let item = self.item(b'0', &marker);
        self.add(item);
    }

    fn sparse(&mut self) {
        let path = self.path();
        // The three pax forms: Docker takes no others (see the table).
        let kind = *self.random.pick(&[Sparse::Pax00, Sparse::Pax01, Sparse::Pax10]);
        if self.taken(&path) || !self.parents(&path) || !self.replaces(&path) {
            return;
        }
        let mut map = Vec::new();
        let mut at = 0u64;
        for _ in 0..1 + self.random.below(60) {
            at += self.random.below(9000) as u64;
            let length = 1 + self.random.below(700) as u64;
            map.push((at, length));
            at += length;
        }
        let size = at + self.random.below(5000) as u64;
        if size > at {
            // As GNU tar writes it: where the file ends.
            map.push((size, 0));
        }
        let mut item = self.item(b'0', &path);
        let total: u64 = map.iter().map(|(_, length)| length).sum();
        item.data = (0..total).map(|at| (at % 251) as u8 + 1).collect();
        item.dialect = Dialect::Pax;
        item.path = path.clone();
        item.sparse = Some((kind, size, map));
        self.here.insert(path, Shape::Other);
        self.add(item);
    }

    /// A link to a folder, and something put, removed or hidden through it.
    fn through_symlink(&mut self) {
        let folders: Vec<Vec<u8>> = self
            .here
            .iter()
            .filter(|(path, shape)| matches!(shape, Shape::Folder { .. }) && path.len() < 100)
            .map(|(path, _)| path.clone())
            .collect();
        let link = self.random.pick(&[b"s".to_vec(), b"a/s".to_vec(), b"t".to_vec()]).clone();
        if folders.is_empty() || self.here.contains_key(&link) || !self.parents(&link) {
            return;
        }
        let folder = self.random.pick(&folders).clone();
        let mut item = self.item(b'2', &link);
        item.link = match self.random.chance(50) {
            true => [b"/", folder.as_slice()].concat(),
            false => [b"../../../", folder.as_slice()].concat(),
        };
        self.here.insert(link.clone(), Shape::Symlink);
        self.add(item);
        let name = *self.random.pick(&[b"through".as_slice(), b"f", b"sub/through"]);
        let real = join(&folder, name);
        if self.here.contains_key(&real) || !self.parents(&real) {
            return;
        }
        let (parent, last) = split(name);
        match self.random.below(4) {
            0 => {
                let marker = join(&join(&link, parent), &[b".wh.", last].concat());
                let item = self.item(b'0', &marker);
                self.here.insert(real, Shape::Whiteout);
                self.add(item);
            }
            1 if !self.opaque.contains(&folder) => {
                let marker = join(&link, b".wh..wh..opq");
                self.opaque.insert(folder);
                let item = self.item(b'0', &marker);
                self.add(item);
            }
            2 => {
                let item = self.item(b'5', &join(&link, name));
                self.here.insert(real, Shape::Folder { named: true });
                self.add(item);
            }
            _ => {
                let mut item = self.item(b'0', &join(&link, name));
                item.data = b"through".to_vec();
                self.here.insert(real, Shape::Other);
                self.add(item);
            }
        }
    }

    /// Entries that change nothing.
    fn noise(&mut self) {
        let number = self.random.below(4);
        // An empty name and a dot are the same path.
        if !self.noise.insert(number.min(2)) {
            return;
        }
        match number {
            0 => {
                let mut body = Vec::new();
                dialect::record(&mut body, "mtime", b"5");
                dialect::record(&mut body, "path", b"not this");
                dialect::special(&mut self.tar, b'g', b"pax_global_header", &body, Dialect::Ustar);
                self.told.push_str("global header\n");
            }
            2 => {
                let mut root = self.item(b'5', b".");
                (root.mode, root.uid, root.path) = (0o700, 5, b"./".to_vec());
                self.add(root);
            }
            1 => {
                let item = self.item(b'0', b".wh..wh.aufs");
                self.add(item);
            }
            // An empty name is the root's.
            _ => {
                let item = self.item(b'5', b"");
                self.add(item);
            }
        }
    }

    fn item(&mut self, flag: u8, path: &[u8]) -> Item {
        let mut item = Item::new(flag, path);
        item.mode = *self.random.pick(&[0o644, 0o755, 0o4755, 0o2711, 0o1644, 0o6555, 0, 0o777, 0o100_600]);
        let ids = [0, 0, 1, 1000, 65534, 0o7_777_777, 0o10_000_000, 4_294_967_294];
        (item.uid, item.gid) = (*self.random.pick(&ids), *self.random.pick(&ids));
        let times: [(i64, u32); 9] = [
            (1_000_000_000, 0),
            (1_600_000_000, 123_456_789),
            (0, 0),
            (1, 1),
            (2_147_483_648, 0),
            (8_589_934_592, 0),
            (9_300_000_000, 0),
            (-1, 0),
            (-86_401, 500_000_000),
        ];
        item.mtime = *self.random.pick(&times);
        if flag == b'2' || flag == b'1' {
            // Docker's time of a link overflows in 2262.
            item.mtime.0 = item.mtime.0.min(9_000_000_000);
        }
        if self.random.chance(12) {
            item.xattrs = self.xattrs();
        }
        item
    }

    fn xattrs(&mut self) -> Vec<(String, Vec<u8>)> {
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let owner = [1, 0, 6, 0, 255, 255, 255, 255];
        let user = [2, 0, 4, 0, 232, 3, 0, 0];
        let rest = [
            4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
        ];
        let acl = [[2, 0, 0, 0].as_slice(), &owner, &user, &rest].concat();
        let all: [(&str, &[u8]); 8] = [
            ("user.naru", b"value"),
            ("user.binary", b"a\0b\n= 5"),
            ("user.empty", b""),
            ("user.é", b"name"),
            ("security.capability", &capability),
            ("trusted.naru", b"t"),
            ("system.posix_acl_access", &acl),
            ("nonsense", b"no such namespace"),
        ];
        let count = 1 + self.random.below(2);
        (0..count)
            .map(|_| self.random.pick(&all))
            .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
            .collect()
    }

    /// Spells the path some way, chooses a dialect that can say it, and writes it.
    fn add(&mut self, mut item: Item) {
        if item.sparse.is_none() {
            item.path = self.spelled(&item.path, item.flag);
            let dialects = dialects_for(&item);
            item.dialect = *self.random.pick(&dialects);
        }
        if item.dialect == Dialect::V7 {
            // Before POSIX a folder was a file with a slash at its end.
            match item.flag {
                b'5' if item.path.ends_with(b"/") => item.flag = 0,
                b'0' if !item.path.ends_with(b"/") => item.flag = *self.random.pick(&[0, b'0']),
                _ => {}
            }
        }
        self.starts.push(self.tar.len());
        dialect::write(&mut self.tar, &item);
        self.told.push_str(&format!(
            "{:?} {} {:?} -> {:?} mode {:o} owner {}:{} time {:?} device {:?} size {} xattrs {:?} sparse {:?}\n",
            item.dialect,
            item.flag as char,
            show(&item.path),
            show(&item.link),
            item.mode,
            item.uid,
            item.gid,
            item.mtime,
            item.device,
            item.data.len(),
            item.xattrs,
            item.sparse.as_ref().map(|(kind, size, map)| (kind, size, map.len())),
        ));
    }

    fn spelled(&mut self, path: &[u8], flag: u8) -> Vec<u8> {
        let mut spelled = match self.random.below(10) {
            0 => [b"./", path].concat(),
            1 => [b"/", path].concat(),
            2 => [b"zz/../", path].concat(),
            3 => path.split(|byte| *byte == b'/').collect::<Vec<_>>().join(b"//".as_slice()),
            4 => path.split(|byte| *byte == b'/').collect::<Vec<_>>().join(b"/./".as_slice()),
            _ => path.to_vec(),
        };
        if flag == b'5' && self.random.chance(70) {
            spelled.push(b'/');
        }
        spelled
    }

    /// One thing that is wrong or odd; whether the layer ends with it.
    fn damage(&mut self) -> bool {
        let number = self.random.below(24);
        self.told.push_str(&format!("damage {number}\n"));
        let put = |generator: &mut Self, item: Item| {
            generator.starts.push(generator.tar.len());
            dialect::write(&mut generator.tar, &item);
        };
        match number {
            0 => {
                let start = self.starts.last().copied().unwrap_or(0);
                let length = 1 + self.random.below((self.tar.len() - start).max(2) - 1);
                self.tar.truncate(start + length);
                return true;
            }
            1 => {
                if let Some(start) = self.starts.last() {
                    self.tar[start + 3] ^= 0x55;
                }
            }
            2 => {
                let flag = *self.random.pick(b"7ZVDM");
                put(self, Item::new(flag, b"unknown"));
            }
            3 => put(self, Item { link: b"no such file".to_vec(), ..Item::new(b'1', b"link") }),
            4 => put(self, Item { link: b"self".to_vec(), ..Item::new(b'1', b"self") }),
            5 => {
                put(self, Item::new(b'5', b"folder"));
                put(self, Item { link: b"folder".to_vec(), ..Item::new(b'1', b"link") });
            }
            6 => {
                put(self, Item::new(b'0', b"plain file"));
                put(self, Item::new(b'0', b"plain file/below"));
            }
            7 => put(self, Item::new(b'2', b"empty link")),
            8 => {
                let name = vec![b'x'; 256];
                put(self, Item { dialect: Dialect::Gnu, ..Item::new(b'0', &name) });
            }
            9 => self.raw(|block| dialect::octal(&mut block[124..136], 0o77_777_777_777)),
            10 => self.raw(|block| dialect::base256(&mut block[124..136], -5)),
            11 => {
                let bodies: [&[u8]; 7] = [
                    b"12 mtime=x1\n",
                    b"99 a=b\n",
                    b"5 a=b",
                    b"a=b\n",
                    b"6 =ab\n",
                    b"14 uid=banana\n",
                    b"0 a=b\n",
                ];
                let body = *self.random.pick(&bodies);
                dialect::special(&mut self.tar, b'x', b"PaxHeaders/0", body, Dialect::Ustar);
                put(self, Item::new(b'0', b"after a bad record"));
            }
            12 => self.raw(|block| block[100..108].copy_from_slice(b"00009zz\0")),
            13 => put(self, Item::new(b'0', b"a/.wh.")),
            14 => {
                self.tar.resize(self.tar.len() + 512, 0);
                put(self, Item::new(b'0', b"after one zero block"));
            }
            15 => {
                let sparse = Some((Sparse::Pax01, 5000, vec![(100, 50), (120, 50)]));
                let (dialect, data) = (Dialect::Pax, vec![1; 100]);
                put(self, Item { dialect, data, sparse, ..Item::new(b'0', b"overlapping") });
            }
            16 => {
                put(self, Item { link: b"loop".to_vec(), ..Item::new(b'2', b"loop") });
                put(self, Item::new(b'0', b"loop/below"));
            }
            17 => {
                let name = [b"component".as_slice(); 500].join(&b'/');
                put(self, Item { dialect: Dialect::Pax, ..Item::new(b'0', &name) });
            }
            18 => {
                let mut body = Vec::new();
                dialect::record(&mut body, "path", b"never comes");
                dialect::special(&mut self.tar, b'x', b"PaxHeaders/0", &body, Dialect::Ustar);
            }
            19 => dialect::special(&mut self.tar, b'L', b"././@LongLink", b"never comes\0", Dialect::Gnu),
            20 => self.raw(|block| block[108..116].copy_from_slice(b"  17 \0\0\0")),
            21 => {
                let mut body = Vec::new();
                dialect::record(&mut body, "size", b"7");
                dialect::special(&mut self.tar, b'x', b"PaxHeaders/0", &body, Dialect::Ustar);
                put(self, Item { data: b"seven ?".to_vec(), ..Item::new(b'0', b"size by record") });
            }
            22 => {
                // Historic writers summed signed bytes.
                let mut block = dialect::header(&Item::new(b'0', b"signed \xff\xfe sum"), 0);
                block[148..156].fill(b' ');
                let sum: i32 = block.iter().map(|byte| i32::from(*byte as i8)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                self.tar.extend_from_slice(&block);
            }
            _ => {
                let capability = ("security.capability".to_owned(), b"too short".to_vec());
                let (dialect, xattrs) = (Dialect::Pax, vec![capability]);
                put(self, Item { dialect, xattrs, ..Item::new(b'0', b"bad capability") });
            }
        }
        false
    }

    /// A header that somebody has been at, with a right checksum.
    fn raw(&mut self, change: impl FnOnce(&mut [u8; 512])) {
        let mut block = dialect::header(&Item { dialect: Dialect::Gnu, ..Item::new(b'0', b"raw") }, 0);
        change(&mut block);
        dialect::checksum(&mut block);
        self.tar.extend_from_slice(&block);
    }
}

/// Which dialects can say it.
fn dialects_for(item: &Item) -> Vec<Dialect> {
    let mut dialects = vec![Dialect::Pax];
    if !item.xattrs.is_empty() || item.mtime.1 != 0 {
        return dialects;
    }
    dialects.push(Dialect::Gnu);
    let small = item.uid <= 0o7_777_777 && item.gid <= 0o7_777_777 && item.link.len() <= 100;
    if !small || !(0..=0o77_777_777_777).contains(&item.mtime.0) {
        return dialects;
    }
    let slash = |at: usize| {
        item.path[at] == b'/' && at <= 155 && item.path.len() - at - 1 <= 100 && at + 1 < item.path.len()
    };
    let first = (0..item.path.len()).find(|at| item.path[*at] == b'/' && item.path.len() - at - 1 <= 100);
    if item.path.len() <= 100 || first.is_some_and(slash) {
        dialects.push(Dialect::Ustar);
    }
    if item.path.len() <= 100 && !b"346".contains(&item.flag) {
        dialects.push(Dialect::V7);
    }
    dialects
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match folder {
        b"" => name.to_vec(),
        folder => [folder, b"/", name].concat(),
    }
}

fn show(path: &[u8]) -> String {
    let text = path.escape_ascii().to_string();
    if text.len() > 150 { format!("{}…({})", &text[..60], text.len()) } else { text }
}
