
// The stages of the step, then its result is stored.
fn finish(sum: vec4<f32>, item: u32, image: u32, pixel: u32, channel: u32) {
    var v = sum;
{%- for stage in stages %}
{%- if stage.channels is not none %}
    let within_{{ loop.index }} = channel - {{ word(stage.channels) }};
    if within_{{ loop.index }} < {{ word(stage.channels + 1) }} { // {{ stage.word }}
        let channel = within_{{ loop.index }}; // as the operands count
{%- else %}
    { // {{ stage.word }}
{%- endif %}
{%- include "stages/" ~ stage.word ~ ".wgsl" %}
    }
{%- endfor %}
    {{ store(output, output_slot) }};
}
