// The entry of the page.

import './app.css';
import './app';
