// Requests of the page itself, with the header that proves that they are its own.

/** Fetch a part of a page. Rejects only when the controller could not be reached. */
export async function part(url, {form = null, submitter = null, signal} = {}) {
  const headers = {"HX-Request": "true", Accept: "text/html"};
  const options = {headers, signal, credentials: "same-origin"};
  if (form) {
    const token = document.querySelector('meta[name="csrf-token"]')?.content;
    Object.assign(headers, token ? {"X-CSRF-Token": token} : {});
    const fields = new FormData(form);
    if (submitter?.name) {
      fields.append(submitter.name, submitter.value);
    }
    Object.assign(options, {method: "POST", body: new URLSearchParams(fields)});
  }
  return fetch(url, options);
}

/** What to tell somebody whose request never arrived, or was answered by nobody who knows. */
export function trouble(error) {
  return error.name === "AbortError" ? "" : "The controller could not be reached. Nothing you wrote is lost: try again.";
}
