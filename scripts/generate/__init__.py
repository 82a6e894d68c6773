"""Makes the deployment files that name the services: Dockerfiles, manifests, and parts of other files.

``services.py`` reads the table of the line and each service's ``deployment.toml``; ``files.py`` makes whole files of
``templates/``, and ``blocks.py`` the parts that stand between ``# generated: <name>`` and ``# generated: end``.
"""
