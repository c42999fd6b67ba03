// The words of the page. Each language has each of them; {name} is replaced. Where a number decides
// the form, there is one word per form of the language, as `n_one` and `n_other`.

import { en, type Words } from "./words/en";
import { fr } from "./words/fr";

export type { Word, Words } from "./words/en";

export const LANGUAGES: Record<string, { name: string; words: Words }> = {
  en: { name: "English", words: en },
  fr: { name: "Français", words: fr },
};
