// request_view — shows what Generate would send, as JSON and as a curl command.

import {find, say} from "./element.js";
import {copy} from "./notice.js";
import {curlOf, readable} from "./request.js";

export function startRequestView(bodyOf) {
  let body = {};
  const address = () => new URL("api/v1/jobs", document.baseURI).href;
  find("show-request").addEventListener("click", async () => {
    body = await bodyOf();
    say(find("request-json"), readable(body));
    say(find("request-curl"), curlOf(body, address()));
    find("request").showModal();
  });
  find("request-close").addEventListener("click", () => find("request").close());
  find("request-copy-json").addEventListener("click", () => copy(JSON.stringify(body, null, 2)));
  find("request-copy-curl").addEventListener("click", () => copy(curlOf(body, address())));
}
