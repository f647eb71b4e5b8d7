import { render } from 'preact';
import { App } from './app.js';
import './page.css';

const root = document.getElementById('app');
root.textContent = '';
render(<App />, root);
