// The words of the page. Each language has all of them; {name} is replaced. A word that depends on a number
// has one entry per form of the language, for example `n_one` and `n_other`.

import { en, type Words } from "./words/en";
import { fr } from "./words/fr";

export type { Word, Words } from "./words/en";

export const LANGUAGES: Record<string, { name: string; words: Words }> = {
  en: { name: "English", words: en },
  fr: { name: "Français", words: fr },
};
