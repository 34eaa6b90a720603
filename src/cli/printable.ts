/** Characters that command a terminal, or turn the direction of what follows; line breaks and tabs stay. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is being found
const COMMANDS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Text from anywhere as a terminal may show it: what would command the terminal is spelled out. */
export function printable(text: string): string {
  return text.replace(COMMANDS, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
