import "./studio.css";
import { render } from "preact";
import { App } from "./app.tsx";

// The token has become a cookie; it need not stay in the address and the history.
if (location.search !== "") history.replaceState(null, "", location.pathname + location.hash);

render(<App />, document.getElementById("studio")!);
