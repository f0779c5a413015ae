//! Images stored channel by channel.

/// Planes of a channel each become pixels.
pub(in crate::data) fn interleave(planes: &[u8], channels: usize) -> Vec<u8> {
    let size = planes.len() / channels;
    (0..size).flat_map(|pixel| (0..channels).map(move |channel| planes[channel * size + pixel])).collect()
}
