// Asks for a token, fetches the document of what it may call, and lets Swagger UI draw it. The token is kept in this page's
// memory alone and goes to this server alone.
"use strict";

const form = document.getElementById("show");
const said = document.getElementById("said");

function say(text, wrong) {
  said.textContent = text;
  said.classList.toggle("wrong", wrong);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = document.getElementById("token").value.trim();
  try {
    const answer = await fetch("/v1/openapi.json", { headers: { Authorization: "Bearer " + token }, credentials: "omit" });
    const found = await answer.json();
    if (!answer.ok) {
      say(found.reason || found.title, true);
      return;
    }
    draw(found, token);
    say("Shown is what this token may call now.", false);
  } catch (problem) {
    say("The document cannot be read: " + problem.message, true);
  }
});

function draw(spec, token) {
  spec.servers = [{ url: location.origin }]; // the address in use is the one that may be asked from here
  const page = SwaggerUIBundle({
    spec,
    dom_id: "#reference",
    deepLinking: false,
    validatorUrl: null,
    persistAuthorization: false,
    queryConfigEnabled: false,
    defaultModelsExpandDepth: -1,
    onComplete: () => page.preauthorizeApiKey("bearer", token),
  });
}
