// Where the page begins.

import { Monitor } from "./monitor";
import { applyTheme } from "./tools";

applyTheme();
new Monitor();
