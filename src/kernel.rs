//! The GPU kernels: their signatures, their sources, and their specialisation by overrides.
//!
//! A kernel is one stem in `shaders/`, `kernels/` and `backend/cpu/`, with arguments in the order inputs, outputs,
//! params. `build.rs` reads the sources into [`KERNELS`] and stops where twins disagree.

use bytemuck::{Pod, Zeroable};

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// Threads of a workgroup, in every kernel.
pub const THREADS: u32 = 256;

/// Bytes of the parameters, of every kernel.
pub const PARAM_BYTES: usize = 64;

/// A kernel as its sources declare it.
#[derive(Clone, Copy, Debug)]
pub struct KernelSource {
    pub stem: &'static str,
    /// With the prelude.
    pub wgsl: Option<&'static str>,
    pub ptx: Option<&'static str>,
    pub inputs: &'static [&'static str],
    pub outputs: &'static [&'static str],
    /// Names and types (`u32` or `f32`), four bytes each.
    pub params: &'static [(&'static str, &'static str)],
    /// Names and defaults.
    pub overrides: &'static [(&'static str, u32)],
}

/// A kernel as its callers see it.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    pub stem: &'static str,
    pub inputs: &'static [&'static str],
    pub outputs: &'static [&'static str],
    pub params: &'static [(&'static str, &'static str)],
    pub overrides: &'static [Override],
}

/// A named integer that is fixed before a kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    pub name: &'static str,
    pub default: u32,
    /// Every value it may have.
    pub values: &'static [u32],
}

/// Every kernel with a GPU source.
pub const SIGNATURES: &[Signature] = &[
    Signature {
        stem: "activation_backward",
        inputs: &["m_y", "bits"],
        outputs: &["m_x"],
        params: ActivationBackward::FIELDS,
        overrides: &[Override { name: "GATE", default: 1, values: &[0, 1, 2, 3] }],
    },
    Signature {
        stem: "conv2d_backward",
        inputs: &["m_y", "w", "b"],
        outputs: &["m_x"],
        params: Conv2dBackward::FIELDS,
        overrides: &[],
    },
    Signature {
        stem: "upsample_bilinear",
        inputs: &["x"],
        outputs: &["y"],
        params: UpsampleBilinear::FIELDS,
        overrides: &[Override { name: "NEAREST", default: 0, values: &[0, 1] }],
    },
];

/// Declares the parameters of a kernel, padded to [`PARAM_BYTES`].
macro_rules! params {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $scalar:ident,)* } unused $unused:literal) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $scalar,)*
            pub unused: [u32; $unused],
        }

        impl $name {
            /// Names and types of the fields.
            pub const FIELDS: &[(&str, &str)] = &[$((stringify!($field), stringify!($scalar))),*];
        }

        const _: () = assert!(size_of::<$name>() == PARAM_BYTES);
    };
}

params! {
    /// Parameters of `activation_backward`. Channels, pitches and offsets count lanes and are multiples of 4.
    ActivationBackward {
        /// Threads with work: messages x area x channels / 4.
        count: u32,
        channels: u32,
        /// Pixels of an item.
        area: u32,
        messages_per_image: u32,
        m_y_pitch: u32,
        m_y_offset: u32,
        /// Bits of a pixel, a multiple of 8.
        bits_pitch: u32,
        bits_offset: u32,
        m_x_pitch: u32,
        m_x_offset: u32,
        /// The derivative where the bit is set.
        high: f32,
        /// The derivative where it is not.
        low: f32,
    } unused 4
}

params! {
    /// Parameters of `conv2d_backward`; sizes and window geometry are [`pair`]s. Channels, pitches and offsets count
    /// lanes and are multiples of 4.
    Conv2dBackward {
        /// Threads with work: items x in_h x in_w x in_channels / 4.
        count: u32,
        in_size: u32,
        out_size: u32,
        kernel: u32,
        stride: u32,
        dilation: u32,
        /// Top and left.
        pad: u32,
        groups: u32,
        /// Input channels of a group; all `in_channels` of a single one.
        group_in: u32,
        /// Output channels of a group; all `out_channels` of a single one.
        group_out: u32,
        in_channels: u32,
        /// Also the length of a row of w.
        out_channels: u32,
        m_y_pitch: u32,
        m_y_offset: u32,
        m_x_pitch: u32,
        m_x_offset: u32,
    } unused 0
}

params! {
    /// Parameters of `upsample_bilinear`; sizes are [`pair`]s. Channels, pitches and offsets count lanes and are multiples
    /// of 4.
    UpsampleBilinear {
        /// Threads with work: items x out_h x out_w x channels / 4.
        count: u32,
        channels: u32,
        in_size: u32,
        out_size: u32,
        x_pitch: u32,
        x_offset: u32,
        y_pitch: u32,
        y_offset: u32,
        /// Rounded up where the mode is nearest, so that a source on a cell's border is never taken for the cell before.
        scale_h: f32,
        scale_w: f32,
        offset_h: f32,
        offset_w: f32,
    } unused 4
}

/// Two sizes below 2^16 in one parameter: height (or top) in the low half, width (or left) in the high half.
pub const fn pair(height: u16, width: u16) -> u32 {
    height as u32 | (width as u32) << 16
}

/// PTX that cannot be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    #[error("there is no PTX kernel `{stem}`; there are {known:?}")]
    Missing { stem: String, known: Vec<&'static str> },
    #[error("kernel {stem} has no override `{name}`; it has {known:?}")]
    Override { stem: String, name: String, known: Vec<&'static str> },
}

/// The sources of a kernel.
pub fn source(stem: &str) -> Option<&'static KernelSource> {
    KERNELS.iter().find(|kernel| kernel.stem == stem)
}

/// The PTX text of a kernel with these overrides in place of their defaults.
///
/// An override is an immediate of the source, tagged with its name: `mov.u32 %gate, 1; //@override GATE`.
///
/// # Errors
/// Where there is no such kernel or override.
pub fn ptx_with(stem: &str, values: &[(&str, u32)]) -> Result<String, KernelError> {
    let Some((kernel, text)) = source(stem).and_then(|kernel| Some((kernel, kernel.ptx?))) else {
        let known = KERNELS.iter().filter(|kernel| kernel.ptx.is_some()).map(|kernel| kernel.stem).collect();
        return Err(KernelError::Missing { stem: stem.to_owned(), known });
    };
    let known: Vec<&str> = kernel.overrides.iter().map(|(name, _)| *name).collect();
    if let Some((name, _)) = values.iter().find(|(name, _)| !known.contains(name)) {
        return Err(KernelError::Override { stem: stem.to_owned(), name: (*name).to_owned(), known });
    }
    Ok(patch(text, values))
}

/// Replaces the immediates tagged with these names; no line is added or removed.
fn patch(text: &str, values: &[(&str, u32)]) -> String {
    let mut patched = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match tagged_value(line, values) {
            Some((before, value, after)) => patched += &format!("{before}, {value};{after}"),
            None => patched += line,
        }
    }
    patched
}

/// For a line `before, 1;after` whose tag is in `values`: its parts, with the new value.
fn tagged_value<'a>(line: &'a str, values: &[(&str, u32)]) -> Option<(&'a str, u32, &'a str)> {
    let (_, tag) = line.split_once("//@override ")?;
    let (_, value) = values.iter().find(|(name, _)| *name == tag.trim())?;
    let (code, after) = line.split_once(';')?;
    let (before, _) = code.rsplit_once(',')?;
    Some((before, *value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_immediates_change() {
        let text = "a:\n    mov.u32 %gate, 1;   //@override GATE\n    mov.u32 %mode, 12; //@override MODE\n    mov.u32 %i, 1;\n";
        let want = "a:\n    mov.u32 %gate, 3;   //@override GATE\n    mov.u32 %mode, 12; //@override MODE\n    mov.u32 %i, 1;\n";
        assert_eq!(patch(text, &[("GATE", 3)]), want);
        assert_eq!(patch(text, &[("GATE", 1), ("MODE", 12)]), text);
        assert_eq!(patch(text, &[]), text);
    }

    #[test]
    fn a_kernel_is_specialised_by_name() {
        let text = ptx_with("activation_backward", &[("GATE", 3)]).expect("a kernel");
        assert!(text.contains("%gate, 3;"), "{text}");
        assert_eq!(
            Some(ptx_with("conv2d_backward", &[]).expect("a kernel").as_str()),
            source("conv2d_backward").unwrap().ptx
        );
    }

    #[test]
    fn unknown_names_are_errors_that_list_the_known_ones() {
        let kernel = ptx_with("activation", &[]).expect_err("no such kernel").to_string();
        assert!(kernel.contains("`activation`") && kernel.contains("upsample_bilinear"), "{kernel}");
        let name = ptx_with("activation_backward", &[("GATES", 1)]).expect_err("no such override").to_string();
        assert_eq!(name, "kernel activation_backward has no override `GATES`; it has [\"GATE\"]");
    }

    #[test]
    fn signatures_are_those_of_the_sources() {
        let stems = |of: &mut dyn Iterator<Item = &'static str>| of.collect::<Vec<_>>();
        assert_eq!(
            stems(&mut SIGNATURES.iter().map(|signature| signature.stem)),
            stems(&mut KERNELS.iter().map(|kernel| kernel.stem))
        );
        for (signature, kernel) in SIGNATURES.iter().zip(KERNELS) {
            let overrides: Vec<_> = signature.overrides.iter().map(|o| (o.name, o.default)).collect();
            let want = (signature.inputs, signature.outputs, signature.params, &overrides[..]);
            assert_eq!(want, (kernel.inputs, kernel.outputs, kernel.params, kernel.overrides), "{}", kernel.stem);
            assert!(signature.overrides.iter().all(|o| o.values.contains(&o.default)), "{}", kernel.stem);
        }
    }

    #[test]
    fn a_pair_keeps_both_sizes() {
        assert_eq!(pair(3, 65_535), 0xffff_0003);
    }
}
