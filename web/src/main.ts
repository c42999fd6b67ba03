// The entry of the page.

import { Monitor } from "./monitor";
import { applyTheme } from "./tools";

applyTheme();
new Monitor();
