// The page of a real browser.
import { Page } from './page.mjs';

globalThis.Page = Page;
