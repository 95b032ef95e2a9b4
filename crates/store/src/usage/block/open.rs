//! Reading a block: first which decisions fit, then those alone. Everything is checked on the way;
//! a block that is none gives `None`, never a wrong decision and never a panic.

use tollgate_journal::{Entry, Flags};

use super::{
    RECORDS_MAX, SECTIONS, Section, VERSION,
    bytes::{take, take_array, take_bytes, take_step},
    dictionary::{Numbers, ReadTexts},
};

/// Which decisions are wanted; what is `None` restricts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::usage) struct Wanted {
    pub(in crate::usage) key: Option<u64>,
    pub(in crate::usage) consumer: Option<u64>,
    pub(in crate::usage) tenant: Option<u64>,
    pub(in crate::usage) service: Option<u64>,
    pub(in crate::usage) code: Option<u8>,
    pub(in crate::usage) from_us: Option<i64>,
    pub(in crate::usage) to_us: Option<i64>,
}

/// A decision that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::usage) struct Found {
    pub(in crate::usage) at_us: i64,
    pub(in crate::usage) number: u64,
    /// Its row in the block.
    pub(in crate::usage) row: usize,
}

/// A decision, its texts (UTF-8) where they lie.
#[derive(Clone, Copy)]
pub(in crate::usage) struct Unpacked<'a> {
    pub(in crate::usage) number: u64,
    pub(in crate::usage) entry: Entry,
    pub(in crate::usage) path: &'a [u8],
    pub(in crate::usage) detail: &'a [u8],
    pub(in crate::usage) user_agent: &'a [u8],
}

/// A block as it came from the database.
pub(in crate::usage) struct Block<'a> {
    records: usize,
    sections: [&'a [u8]; SECTIONS],
}

/// The columns behind what is shown.
struct Columns<'a> {
    ids: Vec<u64>,
    whos: Vec<Who>,
    whats: Vec<What>,
    who: Numbers<'a>,
    what: Numbers<'a>,
    /// Addresses, agents, paths, details.
    texts: [(ReadTexts, Numbers<'a>); 4],
}

/// Places in ids.
#[derive(Clone, Copy)]
struct Who {
    key: u64,
    consumer: usize,
    project: usize,
    tenant: usize,
    policy: usize,
    generation: u16,
}

#[derive(Clone, Copy)]
struct What {
    code: u8,
    method: u8,
    service: usize,
    status: u16,
    flags: u16,
    units: u32,
    checks_passed: u32,
    checks_configured: u32,
}

impl<'a> Block<'a> {
    /// Looks where everything lies.
    pub(in crate::usage) fn open(packed: &'a [u8]) -> Option<Self> {
        let mut rest = packed;
        let [version] = take_array(&mut rest)?;
        let records = u32::from_le_bytes(take_array(&mut rest)?) as usize;
        if version != VERSION || records > RECORDS_MAX {
            return None;
        }
        let mut sections: [&[u8]; SECTIONS] = [&[]; SECTIONS];
        for section in &mut sections {
            let length = u32::from_le_bytes(take_array(&mut rest)?) as usize;
            *section = take_bytes(&mut rest, length)?;
        }
        rest.is_empty().then_some(Self { records, sections })
    }

    /// The decisions that are wanted, in the order in which they lie.
    pub(in crate::usage) fn find(&self, wanted: &Wanted) -> Option<Vec<Found>> {
        let ids = self.ids();
        let place = |id: Option<u64>| id.map(|id| ids.iter().position(|known| *known == id));
        // An id that the block does not know is at no place.
        let is_at = |wanted: Option<Option<usize>>, at: usize| wanted.is_none_or(|wanted| wanted == Some(at));
        let (consumer, tenant, service) =
            (place(wanted.consumer), place(wanted.tenant), place(wanted.service));
        let fits_who = |who: &Who| {
            wanted.key.is_none_or(|key| key == who.key)
                && is_at(consumer, who.consumer)
                && is_at(tenant, who.tenant)
        };
        let fits_what =
            |what: &What| wanted.code.is_none_or(|code| code == what.code) && is_at(service, what.service);
        let whos: Vec<bool> = self.whos()?.iter().map(fits_who).collect();
        let whats: Vec<bool> = self.whats()?.iter().map(fits_what).collect();
        if !whos.contains(&true) || !whats.contains(&true) {
            return Some(Vec::new());
        }
        let (who, what) = self.who_and_what(whos.len(), whats.len())?;
        let (mut times, mut numbers) = (self.section(Section::Times), self.section(Section::Numbers));
        let (mut at_us, mut number, mut found) = (0, 0, Vec::new());
        for row in 0..self.records {
            at_us = take_step(&mut times, at_us)?;
            number = take_step(&mut numbers, number)?;
            if *whos.get(who.at(row))?
                && *whats.get(what.at(row))?
                && wanted.from_us.is_none_or(|from| at_us >= from)
                && wanted.to_us.is_none_or(|to| at_us < to)
            {
                found.push(Found { at_us, number: number as u64, row });
            }
        }
        Some(found)
    }

    /// Hands over the decisions of these rows, which must ascend.
    pub(in crate::usage) fn unpack(
        &self,
        found: &[Found],
        mut sink: impl FnMut(&Found, Unpacked<'_>),
    ) -> Option<()> {
        let columns = self.columns()?;
        let mut sizes = self.section(Section::Sizes);
        let mut row = 0;
        for found in found {
            let mut four = [0u64; 4];
            while row <= found.row {
                for size in &mut four {
                    *size = take(&mut sizes)?;
                }
                row += 1;
            }
            sink(found, columns.decision(found, four)?);
        }
        Some(())
    }

    fn section(&self, section: Section) -> &'a [u8] {
        self.sections.get(section as usize).copied().unwrap_or_default()
    }

    fn ids(&self) -> Vec<u64> {
        self.section(Section::Ids).as_chunks().0.iter().map(|id| u64::from_le_bytes(*id)).collect()
    }

    fn whos(&self) -> Option<Vec<Who>> {
        let mut rest = self.section(Section::Whos);
        let mut whos: Vec<Who> = Vec::with_capacity(rest.len() / 10);
        while !rest.is_empty() {
            let key = u64::from_le_bytes(take_array(&mut rest)?);
            let mut number = || usize::try_from(take(&mut rest)?).ok();
            let consumer = number()?;
            if number()? == 0 {
                whos.push(Who { key, consumer, ..*whos.last()? });
                continue;
            }
            let (project, tenant, policy) = (number()?, number()?, number()?);
            let generation = u16::try_from(number()?).ok()?;
            whos.push(Who { key, consumer, project, tenant, policy, generation });
        }
        Some(whos)
    }

    fn whats(&self) -> Option<Vec<What>> {
        let mut rest = self.section(Section::Whats);
        let mut whats = Vec::new();
        while !rest.is_empty() {
            let [code, method] = take_array(&mut rest)?;
            let mut number = || u32::try_from(take(&mut rest)?).ok();
            whats.push(What {
                code,
                method,
                service: number()? as usize,
                status: u16::try_from(number()?).ok()?,
                flags: u16::try_from(number()?).ok()?,
                units: number()?,
                checks_passed: number()?,
                checks_configured: number()?,
            });
        }
        Some(whats)
    }

    fn who_and_what(&self, whos: usize, whats: usize) -> Option<(Numbers<'a>, Numbers<'a>)> {
        let who = Numbers::open(self.section(Section::Who), whos, self.records)?;
        let what = Numbers::open(self.section(Section::What), whats, self.records)?;
        Some((who, what))
    }

    fn columns(&self) -> Option<Columns<'a>> {
        let (whos, whats) = (self.whos()?, self.whats()?);
        let (who, what) = self.who_and_what(whos.len(), whats.len())?;
        let texts = [
            self.texts(Section::Addresses, Section::Address)?,
            self.texts(Section::Agents, Section::Agent)?,
            self.texts(Section::Paths, Section::Path)?,
            self.texts(Section::Details, Section::Detail)?,
        ];
        Some(Columns { ids: self.ids(), whos, whats, who, what, texts })
    }

    fn texts(&self, texts: Section, column: Section) -> Option<(ReadTexts, Numbers<'a>)> {
        let texts = ReadTexts::open(self.section(texts))?;
        let numbers = Numbers::open(self.section(column), texts.len(), self.records)?;
        Some((texts, numbers))
    }
}

impl Columns<'_> {
    fn decision(&self, found: &Found, sizes: [u64; 4]) -> Option<Unpacked<'_>> {
        let row = found.row;
        let who = self.whos.get(self.who.at(row))?;
        let what = self.whats.get(self.what.at(row))?;
        let id = |place: usize| self.ids.get(place).copied();
        let text =
            |index: usize| self.texts.get(index).and_then(|(texts, numbers)| texts.at(numbers.at(row)));
        let [latency_us, upstream_us, bytes_in, bytes_out] = sizes;
        let entry = Entry {
            at_us: found.at_us,
            key: who.key,
            consumer: id(who.consumer)?,
            project: id(who.project)?,
            tenant: id(who.tenant)?,
            service: id(what.service)?,
            policy: id(who.policy)?,
            code: what.code,
            method: what.method,
            status: what.status,
            latency_us: u32::try_from(latency_us).ok()?,
            upstream_us: u32::try_from(upstream_us).ok()?,
            bytes_in,
            bytes_out,
            units: what.units,
            generation: who.generation,
            flags: Flags(what.flags),
            checks_passed: what.checks_passed,
            checks_configured: what.checks_configured,
            address: whole_address(text(0)?)?,
        };
        Some(Unpacked { number: found.number, entry, path: text(2)?, detail: text(3)?, user_agent: text(1)? })
    }
}

fn whole_address(bytes: &[u8]) -> Option<[u8; 16]> {
    match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_ipv6_mapped().octets()),
        Err(_) => bytes.try_into().ok(),
    }
}
