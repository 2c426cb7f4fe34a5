"""Makes the recordings of crates/embedded again from a real API server:  record.py KUBECONFIG ETCD CRDS [PART...]

KUBECONFIG is that of an administrator, ETCD the URL of the server's etcd, CRDS a file with our
CustomResourceDefinitions; all are JSON. A PART is `published`, `fields` or `schema`; without any, all are made.
`record.sh` starts such a server and calls this.

What is published is found from the built-in kinds. What is asked is taken from the recordings as they are, and what is
answered is replaced: a new request is added by writing its line without `now`, `code` and `answer`. What differs in
every run (UIDs, resource versions, times) is recorded as it was.

The objects that a request finds are written to etcd directly, because no request would leave the field owners, the
times and the faults that the server is to find there.
"""

import base64, copy, json, re, ssl, sys, tempfile, time, urllib.error, urllib.parse, urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src"
# What clients send and receive beside objects and lists.
FURTHER = ["DeleteOptions", "Patch", "Status"]
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
PATCHES = {
    "apply": "application/apply-patch+yaml",
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


class Server:
    def __init__(self, kubeconfig, etcd):
        config = json.loads(kubeconfig)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.url, self.etcd = cluster["server"], etcd
        decoded = lambda text: base64.b64decode(text).decode()
        self.tls = ssl.create_default_context(cadata=decoded(cluster["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(decoded(user["client-certificate-data"]) + decoded(user["client-key-data"]))
            file.flush()
            self.tls.load_cert_chain(file.name)

    def ask(self, method, path, body=None, content="application/json", **query):
        """Returns the code and the body of an answer."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        # An agent without a slash: the manager is always named.
        headers = {"Content-Type": content, "Accept": "application/json", "User-Agent": "record"}
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self.tls) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def get(self, path):
        code, body = self.ask("GET", path)
        assert code == 200, (path, body)
        return body

    def store(self, key, value):
        """Writes to etcd; `None` deletes."""
        encoded = lambda text: base64.b64encode(text.encode()).decode()
        body = {"key": encoded(key)}
        if value is not None:
            body["value"] = encoded(json.dumps(value))
        verb = "deleterange" if value is None else "put"
        request = urllib.request.Request(f"{self.etcd}/v3/kv/{verb}", json.dumps(body).encode())
        urllib.request.urlopen(request).read()


class Kind:
    """Where the objects of a kind are, in the API and in etcd."""

    def __init__(self, api_version, kind):
        group, _, version = api_version.rpartition("/")
        self.plural = kind.lower() + "s"
        self.root = f"/apis/{api_version}" if group else f"/api/{version}"
        # Kubernetes' own kinds are stored without their group, but for those of CustomResourceDefinitions.
        own = not group or group.endswith(".k8s.io")
        self.key = f"/registry/{self.plural}" if own else f"/registry/{group}/{self.plural}"

    def path(self, namespace, name=None, sub=None):
        return "/".join(filter(None, [f"{self.root}/namespaces/{namespace}/{self.plural}", name, sub]))

    def stored(self, namespace, name):
        return f"{self.key}/{namespace}/{name}"


def written(value):
    """JSON as the recordings have it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def install(server, crds, namespaces):
    for crd in crds:
        server.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        name = crd["metadata"]["name"]
        while True:
            found = server.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
            states = {state["type"]: state["status"] for state in found.get("status", {}).get("conditions") or []}
            if states.get("Established") == "True":
                break
    for namespace in namespaces:
        server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})


# --- published.json: the schemas that the server publishes


def references(value):
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(value)))


def published(server):
    documents = {}
    builtin = SRC / "kinds/builtin"
    roots = set(re.findall(r'recorded: "([^"]+)"', "".join(file.read_text() for file in builtin.glob("*.rs"))))
    assert roots, "no kind names its schema"
    for path in sorted(server.get("/openapi/v3")["paths"]):
        if path == "api/v1" or path.startswith("apis/") and path.count("/") == 2:
            documents[path] = server.get(f"/openapi/v3/{path}")["components"]["schemas"]
    entries = {}
    for path, schemas in documents.items():
        found = [name for root in roots for name in (root, f"{root}List") if name in schemas]
        if not found:
            continue
        wanted, seen = found + [META + name for name in FURTHER], set()
        while wanted:
            name = wanted.pop()
            if name not in seen and name in schemas:
                seen.add(name)
                wanted.extend(references(schemas[name]))
        # Of a group that only refers to a kind of another, nothing is recorded.
        if any(schemas[root].get("x-kubernetes-group-version-kind") for root in found):
            for name in seen:
                entry = entries.setdefault(name, {"in": [], "schema": schemas[name]})
                entry["in"].append(path)
    lines = [f"{written(name)}:{json.dumps(entries[name], separators=(',', ':'), ensure_ascii=False)}" for name in sorted(entries)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


# --- fields/recorded.json: requests with the object before, and the answer


def replayed(value, recorded):
    """`value`, with the UIDs and resource versions that were recorded in the same places."""
    if isinstance(value, dict):
        old = recorded if isinstance(recorded, dict) else {}
        fixed = lambda name: name in ("uid", "resourceVersion") and isinstance(old.get(name), str)
        return {name: old[name] if fixed(name) else replayed(part, old.get(name)) for name, part in value.items()}
    if isinstance(value, list):
        old = recorded if isinstance(recorded, list) and len(recorded) == len(value) else [None] * len(value)
        return [replayed(part, old[n]) for n, part in enumerate(value)]
    return value


def shifted(value, by, least):
    """`value` with every time of its metadata later by `by`, unless it is before `least`."""
    if isinstance(value, dict):
        return {
            name: later(part, by, least) if name in ("time", "creationTimestamp") else shifted(part, by, least)
            for name, part in value.items()
        }
    return [shifted(part, by, least) for part in value] if isinstance(value, list) else value


def later(text, by, least):
    time = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    return text if time < least else (time + by).strftime("%Y-%m-%dT%H:%M:%SZ")


def now():
    return datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)


def within_a_second(ask):
    """Returns what `ask` does with the second that it is called in, and ends in."""
    while True:
        time.sleep(1 - time.time() % 1)
        began = now()
        result = ask(began)
        if now() == began:
            return result


def fields(server, text):
    head, steps = text.split('\n"steps":[\n')
    steps = [json.loads(line.removesuffix(",")) for line in steps.split("\n") if line.startswith("{")]
    for step in steps:
        step.setdefault("now", f"{now().isoformat()}Z")
        step.setdefault("answer", {})
        # Field owners are sorted by time, so all times are moved: the request comes in the second in which it came.
        asked = datetime.strptime(step["now"], "%Y-%m-%dT%H:%M:%SZ")
        code, said, by = within_a_second(lambda second: (*sent(server, step, second - asked), second - asked))
        if code < 300:
            said = replayed(shifted(said, -by, asked - timedelta(hours=1) + by), step["answer"])
        else:
            said = refusal(said, step["answer"])
        step["code"], step["answer"] = code, said
    return head + '\n"steps":[\n' + ",\n".join(written(step) for step in steps) + "\n]}\n"


def sent(server, step, by):
    """Sends the request of a step to the object that was there, with its times later by `by`."""
    name = step["kind"]
    api_version = {"Lease": "coordination.k8s.io/v1", "Event": "events.k8s.io/v1", "Secret": "v1", "ConfigMap": "v1"}
    kind = Kind(api_version.get(name, "seatkeeper.dev/v1alpha1"), name)
    before, body = step["before"], step["body"]
    known = (before or {}).get("metadata") or step["answer"].get("metadata") or json.loads(body)["metadata"]
    name, namespace = known["name"], known.get("namespace", "fields-0")
    there = kind.stored(namespace, name)
    server.store(there, None)
    if before:
        stored = shifted(before, by, datetime.min)
        was = stored["metadata"].pop("resourceVersion")
        server.store(there, stored)
        version = server.get(kind.path(namespace, name))["metadata"]["resourceVersion"]
        body = re.sub(rf'("resourceVersion": ?)"{was}"', rf'\g<1>"{version}"', body)
    query = {"fieldManager": step["manager"]}
    if step["verb"] == "apply":
        query["force"] = "true" if step["force"] else "false"
    path = kind.path(namespace, name, step["sub"])
    if step["verb"] == "create":
        return server.ask("POST", kind.path(namespace), body.encode(), **query)
    if step["verb"] == "put":
        return server.ask("PUT", path, body.encode(), **query)
    return server.ask("PATCH", path, body.encode(), PATCHES[step["verb"]], **query)


def refusal(status, recorded):
    """What is recorded of a Status. The server finds causes in no fixed order, so the recorded one is kept."""
    if "details" in status:
        status["details"] = {name: part for name, part in status["details"].items() if name == "causes"}
        causes = recorded.get("details", {}).get("causes", [])
        if sorted(map(written, status["details"].get("causes", []))) == sorted(map(written, causes)) and causes:
            status["details"]["causes"] = causes
    return {name: status[name] for name in ("reason", "message", "details", "code") if name in status}


def namespaces_of(text):
    return sorted(set(re.findall(r'"namespace":"([^"]+)"', text)) | {"fields-0"})


# --- schema/recorded.json: objects with one thing wrong, and what is said about them


def changed(base, changes):
    result = copy.deepcopy(base)
    for pointer, *value in changes:
        *parents, name = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        place = result
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place[parent]
        if value:
            place[name] = value[0]
        else:
            place.pop(name, None)
    return result


def verdict(code, said):
    if code < 300:
        return {}
    causes = said.get("details", {}).get("causes")
    if causes:
        return {"causes": sorted(f"{cause['reason']} {cause['field']}: {cause['message']}" for cause in causes)}
    return {"strict": said["message"].split("strict decoding error: ", 1)[-1]}


def schema(server, recorded):
    groups = []
    for group in recorded["groups"]:
        kind = Kind(group["base"]["apiVersion"], group["kind"])
        name = group["base"]["metadata"]["name"]
        place = {"namespace": "default", "uid": "00000000-0000-4000-8000-000000000001", "generation": 1}
        place["creationTimestamp"] = "2026-01-01T00:00:00Z"
        version = None
        if "old" in group:
            old = copy.deepcopy(group["old"])
            old["metadata"].update(place)
            server.store(kind.stored("default", name), old)
            version = server.get(kind.path("default", name))["metadata"]["resourceVersion"]
        cases = []
        for case in group["cases"]:
            body = changed(group["base"], case["change"])
            query = {"dryRun": "All", "fieldValidation": "Strict", "fieldManager": "record"}
            if group["op"] == "create":
                code, said = server.ask("POST", kind.path("default"), body, **query)
            else:
                body["metadata"].update(resourceVersion=version)
                sub = "status" if group["op"] == "status" else None
                code, said = server.ask("PUT", kind.path("default", name, sub), body, **query)
            cases.append({"change": case["change"], **verdict(code, said)})
        server.store(kind.stored("default", name), None)
        head = {name: part for name, part in group.items() if name != "cases"}
        lines = ",\n".join(written(case) for case in cases)
        groups.append(f'{written(head).removesuffix("}")},"cases":[\n{lines}\n]}}')
    return f'{{"widget":{written(recorded["widget"])},\n"groups":[\n' + ",\n".join(groups) + "\n]}\n"


def widget(schema):
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {"group": "wt.example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.wt.example.com"},
        "spec": spec,
    }


def main():
    kubeconfig, etcd, crds, *parts = sys.argv[1:]
    server = Server(Path(kubeconfig).read_text(), etcd)
    parts = parts or ["published", "fields", "schema"]
    places = {"published": "kinds/published.json", "fields": "fields/recorded.json", "schema": "schema/recorded.json"}
    texts = {part: (SRC / places[part]).read_text() for part in parts}
    # kubectl writes them one after the other.
    kinds = json.loads("[" + re.sub(r"\n}\n{", "\n},\n{", Path(crds).read_text()) + "]")
    if "schema" in parts:
        kinds.append(widget(json.loads(texts["schema"])["widget"]))
    install(server, kinds, namespaces_of(texts.get("fields", "")))
    for part in parts:
        if part == "published":
            made = published(server)
        elif part == "fields":
            made = fields(server, texts[part])
        else:
            made = schema(server, json.loads(texts[part]))
        same = made == texts[part]
        print(f"{places[part]}: {'as it was' if same else 'changed, see git diff'}")
        (SRC / places[part]).write_text(made)


main()
