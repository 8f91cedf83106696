//! The architectures that filters are made for: the two that Naru runs on, and those whose programs the same kernels run.

use crate::Error;
use crate::numbers;

/// The bit in a call's number that tells x32 from x86_64; both come with the same audit architecture.
pub(crate) const X32_BIT: u32 = 0x4000_0000;
/// ARM's private calls begin here (`__ARM_NR_BASE`), far above all others.
pub(crate) const ARM_PRIVATE: u32 = 0x000f_0000;

/// A machine that containers run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    Amd64,
    Arm64,
}

/// A way of calling the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Abi {
    X86_64,
    I386,
    X32,
    Aarch64,
    Arm,
}

impl Machine {
    /// The one that this program was built for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Self = Self::Amd64;
    /// The one that this program was built for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Self = Self::Arm64;

    /// Go's name, as in the conditions of profiles.
    pub fn go_name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    pub fn abi(self) -> Abi {
        match self {
            Self::Amd64 => Abi::X86_64,
            Self::Arm64 => Abi::Aarch64,
        }
    }

    /// What its programs may be: the native one first, then those of `names` that its kernel can run at all.
    pub fn abis(self, names: &[String]) -> Result<Vec<Abi>, Error> {
        let mut abis = vec![self.abi()];
        for name in names {
            if let Some(abi) = Abi::parse(name)?
                && abi.machine() == self
                && !abis.contains(&abi)
            {
                abis.push(abi);
            }
        }
        Ok(abis)
    }
}

impl Abi {
    /// What libseccomp calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::I386 => "SCMP_ARCH_X86",
            Self::X32 => "SCMP_ARCH_X32",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// Reads libseccomp's name; none for an architecture of other machines.
    fn parse(name: &str) -> Result<Option<Self>, Error> {
        const OTHERS: &[&str] = &[
            "MIPS",
            "MIPS64",
            "MIPS64N32",
            "MIPSEL",
            "MIPSEL64",
            "MIPSEL64N32",
            "PPC",
            "PPC64",
            "PPC64LE",
            "S390",
            "S390X",
            "PARISC",
            "PARISC64",
            "RISCV64",
            "LOONGARCH64",
            "M68K",
            "SH",
            "SHEB",
        ];
        let known = [Self::X86_64, Self::I386, Self::X32, Self::Aarch64, Self::Arm];
        match known.into_iter().find(|abi| abi.name() == name) {
            Some(abi) => Ok(Some(abi)),
            None if name.strip_prefix("SCMP_ARCH_").is_some_and(|rest| OTHERS.contains(&rest)) => Ok(None),
            None => Err(Error::Invalid(format!("unknown architecture {name:?}"))),
        }
    }

    fn machine(self) -> Machine {
        match self {
            Self::X86_64 | Self::I386 | Self::X32 => Machine::Amd64,
            Self::Aarch64 | Self::Arm => Machine::Arm64,
        }
    }

    /// `AUDIT_ARCH_*` of linux/audit.h, as in `struct seccomp_data`.
    pub fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Registers hold 32 bits: the kernel gives the filter zeros above them.
    pub fn is_narrow(self) -> bool {
        matches!(self, Self::I386 | Self::Arm)
    }

    /// The lowest number that a call can have.
    pub fn first(self) -> u32 {
        if self == Self::X32 { X32_BIT } else { 0 }
    }

    /// A call's number, if there is such a call.
    pub fn number(self, name: &str) -> Option<u32> {
        numbers::number(name, self as usize).map(|number| number | self.first())
    }
}
