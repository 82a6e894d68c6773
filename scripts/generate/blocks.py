"""The generated parts of files that are otherwise written by hand."""

import re
from collections.abc import Mapping
from pathlib import Path

from scripts.generate.services import GenerateError

# By file and by the name of the block. Templates of one line stand here, longer ones in templates/.
BLOCKS: Mapping[str, Mapping[str, str]] = {
    "docker-compose.yml": {"stages": "compose-stages.yml", "stages-on-cuda": "compose-gpu.yml"},
    "docker-compose.test.yml": {
        "services": "depends_on: [line-user, postgres, {{ services | map(attribute='name') | join(', ') }}]"
    },
    "monitoring/prometheus.yml": {
        "services": "- names: [{{ services | rejectattr('is_api') | map(attribute='name') | join(', ') }}]"
    },
    "k8s/Kustomization": {"services": "{% for each in services %}\n- {{ each.name }}.yaml\n{% endfor %}"},
    "k8s/istio/who-may-reach-what.yaml": {
        "services": "{% for each in services %}\n- cluster.local/ns/stageline/sa/{{ each.name }}\n{% endfor %}"
    },
    "k8s/network-policies/models-from-the-internet.yaml": {
        "services-with-models": "- {key: app.kubernetes.io/name, operator: In, values: "
        "[{{ services | selectattr('models') | map(attribute='name') | join(', ') }}]}"
    },
    "overlays/images/kustomization.yaml": {
        "services": "{% for each in services %}\n- {name: docker.io/stageline/{{ each.name }}, "
        "newName: registry.example.com/team/stageline-{{ each.name }}}\n{% endfor %}"
    },
    "overlays/gpu/kustomization.yaml": {
        "images": "{% for each in services if each.gpu %}\n- {name: docker.io/stageline/{{ each.name }}, "
        "newTag: {{ each.version }}-gpu}\n{% endfor %}",
        "patches": "- path: pods.yaml\n  target: {kind: Deployment, name: "
        "{{ services | selectattr('gpu') | map(attribute='name') | join('|') }}}\n"
        "{% for each in services if each.gpu %}\n- path: {{ each.name }}.yaml\n{% endfor %}",
    },
}
BLOCK = re.compile(r"^( *)# generated: (?!end$)(\S+)\n.*?^ *# generated: end\n", re.DOTALL | re.MULTILINE)


def replaced(path: Path, made: Mapping[str, str]) -> str:
    """Return the text of a file with each block replaced by what was made for its name, at its marker's indentation.

    Raises:
        GenerateError: the file is missing, or has not exactly the blocks that were made.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise GenerateError(f"{path} is missing") from None
    there = {name for _, name in BLOCK.findall(text)}
    if there != set(made):
        raise GenerateError(f"{path} must have the generated blocks {', '.join(made)}; it has {', '.join(there)}")

    def block(found: re.Match[str]) -> str:
        indentation, name = found.groups()
        rows = [f"# generated: {name}", *made[name].rstrip("\n").split("\n"), "# generated: end"]
        return "".join(f"{indentation}{row}\n" if row else "\n" for row in rows)

    return BLOCK.sub(block, text)
