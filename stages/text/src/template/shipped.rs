//! Chat templates that are known by name, for models that have none of their own, or another one.

/// R1-Zero's, for base models (R1, table 1), with line breaks before `User:` and `Assistant:`. A system text comes
/// first.
const R1_ZERO: &str = "{{ bos_token }}{% if messages[0].role == 'system' %}{{ messages[0].content }}{{ '\\n' }}{% endif %}\
    A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant first \
    thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning process and \
    answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning process \
    here </think> <answer> answer here </answer>.\
    {% for message in messages %}\
    {% if message.role == 'user' %}{{ '\\nUser: ' + message.content }}\
    {% elif message.role == 'assistant' %}{{ '\\nAssistant: ' + message.content }}\
    {% elif message.role != 'system' or not loop.first %}\
    {{ raise_exception('r1-zero has no turn of the role ' + message.role + ' here') }}\
    {% endif %}{% endfor %}{% if add_generation_prompt %}{{ '\\nAssistant:' }}{% endif %}";

/// ChatML, as Qwen's and SmolLM's models have it, without a system text of its own.
const CHATML: &str = "{% for message in messages %}\
    {{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// The texts of all turns, each on a line.
const PLAIN: &str = "{{ bos_token }}{% for message in messages %}{{ message.content + '\\n' }}{% endfor %}";

/// Name and source of each.
const SHIPPED: [(&str, &str); 3] = [("r1-zero", R1_ZERO), ("chatml", CHATML), ("plain", PLAIN)];

/// Returns the chat template of this name.
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
}

/// Returns the names of the shipped templates.
pub fn names() -> [&'static str; SHIPPED.len()] {
    SHIPPED.map(|(name, _)| name)
}
