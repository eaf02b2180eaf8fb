"""Where pull requests live: GitHub, Gitea and Forgejo, GitLab behind one small protocol."""
