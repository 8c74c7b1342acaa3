// Sends a model as a program would: as it is read from the disk, whatever its size.
(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const [file, name, token] = ["file", "name", "csrf_token"].map((each) => form.elements[each]);
  const sent = document.getElementById("sent");
  const said = document.getElementById("said");
  const button = form.querySelector("button");
  const ARCHIVE = /\.(zip|tar|tgz|tar\.gz)$/i;

  const say = (...texts) => {
    said.replaceChildren(...texts.filter(Boolean).map((text) => {
      const line = document.createElement("p");
      line.textContent = text;
      return line;
    }));
    said.className = "notice";
  };

  const over = (request) => {
    button.disabled = false;
    sent.hidden = true;
    if (request.status === 201) {
      location.assign("/models");
      return;
    }
    let problem = {};
    try {
      problem = JSON.parse(request.responseText);
    } catch {
      // Whatever answered was not the service.
    }
    say(problem.detail || "It could not be sent: the connection was lost.", problem.hint);
  };

  file.addEventListener("change", () => {
    if (file.files.length > 0) name.value = file.files[0].name.replace(ARCHIVE, "");
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const request = new XMLHttpRequest();
    const address = form.dataset.to + encodeURIComponent(name.value);
    request.open("PUT", form.elements.replace.checked ? `${address}?replace=true` : address);
    request.setRequestHeader("X-CSRF-Token", token.value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (now) => { sent.value = now.loaded / now.total; });
    request.addEventListener("loadend", () => over(request));
    button.disabled = true;
    sent.hidden = false;
    said.replaceChildren();
    said.className = "";
    request.send(file.files[0]);
  });
  form.hidden = false;
})();
